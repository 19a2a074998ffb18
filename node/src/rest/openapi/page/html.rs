//! Text as HTML. Everything that comes from the document goes through here.

/// Text that stands between tags or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
    }
    html
}

/// Text with `code` in it.
pub(super) fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let part = escaped(part);
        if index % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            part
        }
    });
    parts.collect()
}

/// Several paragraphs of it.
pub(super) fn paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(|text| format!("<p>{}</p>", prose(text)))
        .collect()
}

/// What an element is called within the page.
pub(super) fn anchor(kind: &str, name: &str) -> String {
    let name = name
        .to_lowercase()
        .replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    format!("{kind}-{name}")
}

/// A table that scrolls by itself where the screen is narrow.
pub(super) fn table(label: &str, head: &[&str], rows: &str) -> String {
    let head: String = head
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    format!(
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table><thead><tr>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div>",
        escaped(label)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(
            escaped("<a href='x'>\"&"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
        assert_eq!(prose("a `b<c>` d"), "a <code>b&lt;c&gt;</code> d");
    }

    #[test]
    fn anchors_have_letters_and_dashes_alone() {
        assert_eq!(anchor("op", "rules.create"), "op-rules-create");
        assert_eq!(anchor("tag", "Audit \"log\""), "tag-audit--log-");
    }
}
