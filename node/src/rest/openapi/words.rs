//! Names from one spelling to another.

/// `WebhookEndpoint` as `webhook_endpoint`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `invalid_json` as `InvalidJson`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::new();
    let mut upper = true;
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            camel.push(if upper {
                letter.to_ascii_uppercase()
            } else {
                letter
            });
        }
        upper = !letter.is_ascii_alphanumeric();
    }
    camel
}
