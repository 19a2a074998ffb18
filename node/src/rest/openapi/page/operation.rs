//! One operation on the page.

use serde_json::{Map, Value};

use super::super::example;
use super::html::{anchor, escaped, paragraphs, prose, table};
use super::schema::{about, fields, kind};

/// An operation, its method and path, and the document that it stands in.
pub(super) struct Shown<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    pub(super) operation: &'a Value,
    pub(super) document: &'a Value,
}

impl<'a> Shown<'a> {
    fn name(&self) -> &'a str {
        self.operation["operationId"].as_str().unwrap_or_default()
    }

    pub(super) fn tag(&self) -> &'a str {
        self.operation["tags"][0].as_str().unwrap_or_default()
    }

    fn components(&self) -> &'a Value {
        &self.document["components"]
    }

    fn resolved(&self, value: &'a Value) -> &'a Value {
        let target = value["$ref"]
            .as_str()
            .and_then(|target| target.strip_prefix('#'));
        target
            .and_then(|target| self.document.pointer(target))
            .unwrap_or(value)
    }

    /// The entry of the navigation.
    pub(super) fn link(&self) -> String {
        format!(
            "<li><a href=\"#{}\">{}</a></li>",
            anchor("op", self.name()),
            escaped(self.operation["summary"].as_str().unwrap_or_default())
        )
    }

    pub(super) fn article(&self) -> String {
        let method = self.method.to_uppercase();
        let description = self.operation["description"]
            .as_str()
            .map(paragraphs)
            .unwrap_or_default();
        format!(
            "<article id=\"{}\"><h3>{}</h3><p class=\"line\"><span class=\"method {}\">{method}</span> \
             <code>{}</code></p>{description}{}{}{}{}</article>",
            anchor("op", self.name()),
            escaped(self.operation["summary"].as_str().unwrap_or_default()),
            escaped(self.method),
            escaped(self.path).replace('/', "/<wbr>"),
            self.parameters(),
            self.body(),
            self.curl(),
            self.answers(),
        )
    }

    fn all_parameters(&self) -> impl Iterator<Item = &'a Value> {
        let all = self.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        all.map(|parameter| self.resolved(parameter))
    }

    fn parameters(&self) -> String {
        let row = |parameter: &Value| {
            let required = if parameter["required"] == true {
                ", required"
            } else {
                ""
            };
            let schema = &parameter["schema"];
            let description = parameter["description"]
                .as_str()
                .map(prose)
                .unwrap_or_default();
            let limits = super::schema::limits(schema);
            let gap = if limits.is_empty() { "" } else { "<br>" };
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}{required}</td><td>{}</td><td>{description}{gap}{limits}</td></tr>",
                escaped(parameter["name"].as_str().unwrap_or_default()),
                escaped(parameter["in"].as_str().unwrap_or_default()),
                kind(schema),
            )
        };
        let rows: String = self.all_parameters().map(row).collect();
        if rows.is_empty() {
            return rows;
        }
        let table = table(
            &format!("Parameters of {}", self.name()),
            &["Parameter", "In", "Type", "Meaning"],
            &rows,
        );
        format!("<h4>Parameters</h4>{table}")
    }

    fn body(&self) -> String {
        let body = &self.operation["requestBody"];
        let schema = &body["content"]["application/json"]["schema"];
        if schema.is_null() {
            return String::new();
        }
        let optional = if body["required"] == true {
            ""
        } else {
            ", may be left out"
        };
        let whole = self.resolved(schema);
        let label = format!("Body of {}", self.name());
        format!(
            "<h4>Body</h4><p>{}{optional}. {}</p>{}",
            kind(schema),
            about(whole),
            fields(&label, whole, &self.components()["schemas"])
        )
    }

    /// A line for the shell, with the examples of parameters and body.
    fn curl(&self) -> String {
        let mut path = self.path.to_owned();
        for parameter in self
            .all_parameters()
            .filter(|parameter| parameter["in"] == "path")
        {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = example::whole(&parameter["schema"], self.components());
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        let mut line = "curl -s".to_owned();
        if self.method != "get" {
            line.push_str(&format!(" -X {}", self.method.to_uppercase()));
        }
        line.push_str(&format!(" \"$API{path}\""));
        if self.operation["security"]
            .as_array()
            .is_none_or(|keys| !keys.is_empty())
        {
            line.push_str(" \\\n  -H \"Authorization: Bearer $VECTORGATE_API_KEY\"");
        }
        let body = &self.operation["requestBody"]["content"]["application/json"]["example"];
        if !body.is_null() {
            let body = serde_json::to_string_pretty(body)
                .unwrap_or_default()
                .replace('\'', r"'\''");
            line.push_str(&format!(
                " \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'"
            ));
        }
        format!(
            "<h4>Example</h4><pre tabindex=\"0\"><code>{}</code></pre>",
            escaped(&line)
        )
    }

    fn answers(&self) -> String {
        let empty = Map::new();
        let all = self.operation["responses"].as_object().unwrap_or(&empty);
        let rows: String = all
            .iter()
            .map(|(status, answer)| self.answer(status, self.resolved(answer)))
            .collect();
        let label = format!("Answers of {}", self.name());
        let table = table(&label, &["Status", "Meaning", "Body"], &rows);
        format!("<h4>Answers</h4>{table}{}", self.sample(all))
    }

    fn answer(&self, status: &str, answer: &Value) -> String {
        let contents = answer["content"].as_object().into_iter().flatten();
        let bodies = contents.map(|(media_type, content)| {
            let schema = &content["schema"];
            // A refusal is an error with one of the codes that the description has.
            let schema = schema["allOf"].get(0).unwrap_or(schema);
            match media_type.as_str() {
                "application/json" => kind(schema),
                other => format!("<code>{}</code>", escaped(other)),
            }
        });
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escaped(status),
            prose(answer["description"].as_str().unwrap_or_default()),
            bodies.collect::<Vec<_>>().join("<br>")
        )
    }

    /// What an answer looks like that went well.
    fn sample(&self, answers: &'a Map<String, Value>) -> String {
        let good = answers.iter().find(|(status, _)| status.starts_with('2'));
        let schema = good.map(|(_, answer)| &answer["content"]["application/json"]["schema"]);
        let Some(schema) = schema.filter(|schema| schema["$ref"].is_string()) else {
            return String::new();
        };
        let sample = example::whole(schema, self.components());
        let sample = serde_json::to_string_pretty(&sample).unwrap_or_default();
        format!(
            "<details><summary>What {} looks like</summary><pre tabindex=\"0\"><code>{}</code></pre></details>",
            kind(schema),
            escaped(&sample)
        )
    }
}
