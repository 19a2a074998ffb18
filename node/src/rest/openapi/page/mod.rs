//! The document as a page that needs nothing but itself: no script, no font, no request to anywhere.

mod html;
mod operation;
mod schema;
#[cfg(test)]
mod tests;

use serde_json::Value;

use html::{anchor, escaped, paragraphs, prose};
use operation::Shown;

const STYLE: &str = include_str!("style.css");

/// The page's HTML.
pub(super) fn of(document: &Value) -> String {
    let info = &document["info"];
    let title = escaped(info["title"].as_str().unwrap_or_default());
    let version = escaped(info["version"].as_str().unwrap_or_default());
    let about = paragraphs(info["description"].as_str().unwrap_or_default());
    let operations = operations(document);
    let schemas = &document["components"]["schemas"];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><style>{STYLE}</style></head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the reference</a>\
         <header><h1>{title}</h1><p>Release {version} · <a href=\"/v2/openapi.json\">OpenAPI document</a></p></header>\
         <nav aria-label=\"Contents\"><details open><summary>Contents</summary>{}</details></nav>\
         <main id=\"main\">{about}{}{}<section id=\"schemas\"><h2>Schemas</h2>{}</section></main></body></html>\n",
        contents(document, &operations),
        sections(document, &operations),
        webhooks(document),
        schema::all(schemas),
    )
}

fn operations(document: &Value) -> Vec<Shown<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let shown = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| Shown {
            path,
            method,
            operation,
            document,
        })
    });
    shown.collect()
}

fn tags(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((tag["name"].as_str()?, tag["description"].as_str()?)))
}

fn contents(document: &Value, operations: &[Shown<'_>]) -> String {
    let groups = tags(document).map(|(tag, _)| {
        let links: String = operations
            .iter()
            .filter(|shown| shown.tag() == tag)
            .map(Shown::link)
            .collect();
        format!(
            "<li><a href=\"#{}\">{}</a><ul>{links}</ul></li>",
            anchor("tag", tag),
            escaped(tag)
        )
    });
    let groups: String = groups.collect();
    format!(
        "<ul>{groups}<li><a href=\"#events\">What webhooks get</a></li><li><a href=\"#schemas\">Schemas</a></li></ul>"
    )
}

fn sections(document: &Value, operations: &[Shown<'_>]) -> String {
    let sections = tags(document).map(|(tag, description)| {
        let articles: String = operations
            .iter()
            .filter(|shown| shown.tag() == tag)
            .map(Shown::article)
            .collect();
        format!(
            "<section id=\"{}\"><h2>{}</h2><p>{}</p>{articles}</section>",
            anchor("tag", tag),
            escaped(tag),
            prose(description)
        )
    });
    sections.collect()
}

/// The types of events share everything but their name.
fn webhooks(document: &Value) -> String {
    let empty = serde_json::Map::new();
    let webhooks = document["webhooks"].as_object().unwrap_or(&empty);
    let names: String = webhooks
        .keys()
        .map(|name| {
            format!(
                "<li id=\"{}\"><code>{}</code></li>",
                anchor("event", name),
                escaped(name)
            )
        })
        .collect();
    let Some(first) = webhooks.values().next().map(|webhook| &webhook["post"]) else {
        return String::new();
    };
    let parameters = first["parameters"].as_array().into_iter().flatten();
    let rows = parameters.map(|parameter| {
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>",
            escaped(parameter["name"].as_str().unwrap_or_default()),
            prose(parameter["description"].as_str().unwrap_or_default())
        )
    });
    let rows: String = rows.collect();
    format!(
        "<section id=\"events\"><h2>What webhooks get</h2><p>A <code>POST</code> whose body is an <a href=\"#{}\">Event</a>. {}</p>\
         {}<p>The types:</p><ul class=\"words\">{names}</ul></section>",
        anchor("schema", "Event"),
        prose(first["description"].as_str().unwrap_or_default()),
        html::table("Headers of a webhook", &["Header", "Meaning"], &rows),
    )
}
