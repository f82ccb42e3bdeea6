//! What a client generator or a reader needs of the document.

use serde_json::Value;

use crate::router::routes;

fn document() -> Value {
    serde_json::from_str(&routes().unwrap().document).unwrap()
}

/// Looks at every value of the document, the outermost first.
fn visit(value: &Value, path: &str, look: &mut dyn FnMut(&str, &Value)) {
    look(path, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| visit(inner, &format!("{path}/{name}"), look));
        }
        Value::Array(items) => items.iter().for_each(|inner| visit(inner, path, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn operations(document: &Value) -> Vec<Value> {
    let paths = document["paths"].as_object().unwrap().values();
    paths.flat_map(|path| path.as_object().unwrap().values().cloned()).collect()
}

/// A description that begins by naming its values, as in "`active` or `disabled`.", belongs to a closed list.
#[test]
fn a_description_that_lists_values_belongs_to_an_enum() {
    let lists_values = |text: &str| {
        let first = text.split(['.', ';', ':']).next().unwrap_or_default();
        text.starts_with('`') && first.contains("` or `")
    };
    let mut open = Vec::new();
    visit(&document(), "", &mut |path, value| {
        let schema = value.get("schema").unwrap_or(value);
        let is_text = schema["type"] == "string" || schema["type"][0] == "string";
        if is_text && schema.get("enum").is_none() && value["description"].as_str().is_some_and(lists_values)
        {
            open.push(format!("{path}: {}", value["description"]));
        }
    });
    assert_eq!(open, [""; 0], "give these a type of telepath_api_types::enums");
}

#[test]
fn every_json_body_has_an_example_without_gaps() {
    let document = document();
    let mut problems = Vec::new();
    for operation in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let responses = operation["responses"].as_object().unwrap().iter();
        let successes = responses.filter(|(status, _)| status.starts_with('2')).map(|(_, response)| response);
        for body in successes.chain(operation.get("requestBody")) {
            let Some(body) = body["content"].get("application/json") else { continue };
            match body.get("example") {
                None | Some(Value::Null) => problems.push(format!("{id} has no example")),
                Some(example) => check(&document, &body["schema"], example, id, &mut problems),
            }
        }
    }
    assert_eq!(problems, [""; 0], "give these members an example");
}

/// Notes members of an example that are null where the schema does not allow it, or that the schema does not have.
fn check(document: &Value, schema: &Value, example: &Value, path: &str, problems: &mut Vec<String>) {
    let schema = resolve(document, schema);
    if example.is_null() {
        let nullable = schema["type"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "null"))
            || schema["oneOf"]
                .as_array()
                .is_some_and(|parts| parts.iter().any(|part| part["type"] == "null"));
        if !nullable && schema.as_object().is_some_and(|members| !members.is_empty()) {
            problems.push(format!("{path} is null"));
        }
        return;
    }
    match example {
        Value::Array(items) => {
            for item in items {
                check(document, &schema["items"], item, path, problems);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                match member(document, schema, name) {
                    Some(inner) => check(document, inner, value, &format!("{path}.{name}"), problems),
                    None if schema.get("properties").is_some() => {
                        problems.push(format!("{path}.{name} is unknown"));
                    }
                    None => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema itself, or the part of it that is not null.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return resolve(document, &document["components"]["schemas"][name]);
    }
    schema
}

fn member<'a>(document: &'a Value, schema: &'a Value, name: &str) -> Option<&'a Value> {
    let parts = ["allOf", "oneOf"].iter().filter_map(|list| schema[*list].as_array()).flatten();
    let own = schema.get("properties").and_then(|properties| properties.get(name));
    own.or_else(|| parts.map(|part| resolve(document, part)).find_map(|part| member(document, part, name)))
}
