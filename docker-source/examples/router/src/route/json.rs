//! Parses and writes routes as JSON, with the keys of Logspout's HTTP API. Logspout uses the same keys for
//! the files in its folder of routes.
//!
//! ```json
//! {"id": "a1", "adapter": "gelf+tcp", "address": "graylog:12201", "filter_name": "shop-*", "options":
//! {"queue": "9"}}
//! ```

use serde_json::{Map, Value, json};

use super::RouteUri;

/// The maximum length of an id, in bytes.
const MAX_ID: usize = 64;
const KEYS: &str =
    "id, name, adapter, address, filter_id, filter_name, filter_sources, filter_labels or options";

/// Parses a route, and its id if it has one.
///
/// # Errors
/// Returns a text of one line that names the mistake.
pub(crate) fn parse(text: &[u8]) -> Result<(Option<String>, RouteUri), String> {
    let object: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("not a JSON object: {error}"))?;
    let (mut id, mut name, mut adapter, mut address) = (None, None, None, None);
    let mut options = Vec::new();
    for (key, value) in object {
        let text = |value| scalar(value).ok_or_else(|| format!("{key} is not a text"));
        let list = |value| match value {
            Value::Array(items) => items.into_iter().map(text).collect::<Result<Vec<_>, _>>(),
            // Logspout writes an empty list as `null`.
            Value::Null => Ok(Vec::new()),
            value => Ok(vec![text(value)?]),
        };
        match &*key {
            "id" => id = Some(text(value)?).filter(|id| !id.is_empty()),
            "name" => name = Some(text(value)?).filter(|name| !name.is_empty()),
            "adapter" => adapter = Some(text(value)?),
            "address" => address = Some(text(value)?),
            "filter_id" | "filter_name" => options.push((option_of(&key), text(value)?)),
            "filter_sources" | "filter_labels" => options.push((option_of(&key), list(value)?.join(","))),
            "options" => {
                let Value::Object(own) = value else {
                    if value.is_null() {
                        continue;
                    }
                    return Err("options is not an object".to_owned());
                };
                for (name, value) in own {
                    let values = match value {
                        Value::Array(values) => values,
                        value => vec![value],
                    };
                    for value in values {
                        let value =
                            scalar(value).ok_or_else(|| format!("the option {name:?} is not a text"))?;
                        options.push((name.clone(), value));
                    }
                }
            }
            _ => return Err(format!("unknown key {key:?}: use {KEYS}")),
        }
    }
    if id.as_deref().is_some_and(|id| !is_id(id)) {
        return Err(format!("id has 1 to {MAX_ID} letters, digits, - and _"));
    }
    let required = |value: Option<String>, name: &str| {
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} is missing"))?;
        match value.contains(['?', '#']) {
            true => Err(format!("{name} has a ? or #: write options into \"options\"")),
            false => Ok(value),
        }
    };
    let (adapter, address) = (required(adapter, "adapter")?, required(address, "address")?);
    options.retain(|(name, value)| !(name.starts_with("filter.") && value.is_empty()));
    Ok((id, RouteUri { location: format!("{adapter}://{address}"), options, name }))
}

/// Returns whether a text is valid as the id of a route and as the name of the route's file.
pub(crate) fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(is_plain)
}

/// Returns a route as JSON with its credentials, for the folder of routes.
pub(crate) fn whole(id: &str, uri: &RouteUri) -> Value {
    to_json(id, uri, uri.location.clone(), |_, value| value.to_owned())
}

/// Returns a route as JSON, with `***` in place of its credentials.
pub(crate) fn masked(id: &str, uri: &RouteUri) -> Value {
    let mask = |name: &str, value: &str| if name == "header" { "***" } else { value }.to_owned();
    to_json(id, uri, uri.masked_location(), mask)
}

fn to_json(id: &str, uri: &RouteUri, location: String, shown: impl Fn(&str, &str) -> String) -> Value {
    let (adapter, address) = location.split_once("://").unwrap_or(("", &location));
    let mut route = Map::new();
    let mut set = |key: &str, value| drop(route.insert(key.to_owned(), value));
    set("id", json!(id));
    set("adapter", json!(adapter));
    set("address", json!(address));
    if let Some(name) = &uri.name {
        set("name", json!(name));
    }
    let mut options = Map::new();
    for (name, value) in &uri.options {
        let value = shown(name, value);
        let is_alone = uri.options.iter().filter(|(other, _)| other == name).count() == 1;
        let items = || value.split(',').collect::<Vec<_>>();
        match &**name {
            "filter.id" if is_alone => set("filter_id", json!(value)),
            "filter.name" if is_alone => set("filter_name", json!(value)),
            "filter.sources" if is_alone => set("filter_sources", json!(items())),
            "filter.labels" if is_alone => set("filter_labels", json!(items())),
            _ => match options.get_mut(name) {
                Some(Value::Array(values)) => values.push(json!(value)),
                Some(first) => *first = json!([first.take(), value]),
                None => drop(options.insert(name.clone(), json!(value))),
            },
        }
    }
    if !options.is_empty() {
        set("options", Value::Object(options));
    }
    Value::Object(route)
}

/// Returns the name of the option for a key, such as `filter.name` for `filter_name`.
fn option_of(key: &str) -> String {
    key.replacen('_', ".", 1)
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGSPOUT: &str = r#"{"id": "a1", "filter_id": "", "filter_name": "shop-*", "filter_sources": ["stdout", "stderr"],
        "filter_labels": ["ship:true", "team:a*"], "adapter": "gelf+tcp", "address": "graylog:12201",
        "options": {"queue": 9, "exclude.name": ["a", "b"], "strip_ansi": true}}"#;

    #[test]
    fn json_of_logspout_is_parsed_and_a_route_stays_the_same_when_it_is_written_and_parsed() {
        let (id, uri) = parse(LOGSPOUT.as_bytes()).unwrap();
        assert_eq!(id.as_deref(), Some("a1"));
        assert_eq!(
            uri.to_uri(),
            "gelf+tcp://graylog:12201?filter.labels=ship:true%2Cteam:a*&filter.name=shop-*\
             &filter.sources=stdout%2Cstderr&exclude.name=a&exclude.name=b&queue=9&strip_ansi=true"
        );
        let json = whole("a1", &uri);
        assert_eq!(parse(json.to_string().as_bytes()).unwrap(), (id, uri));
        assert_eq!(json["options"]["exclude.name"], json!(["a", "b"]));
        assert_eq!(json["filter_sources"], json!(["stdout", "stderr"]));
        let several = RouteUri::parse("gelf://h?filter.name=a&filter.name=b#main").unwrap();
        assert_eq!(parse(whole("x", &several).to_string().as_bytes()).unwrap().1, several);
    }

    #[test]
    fn a_masked_route_has_no_credentials_and_a_whole_route_keeps_them() {
        let uri = RouteUri::parse("gelf+http://user:secret@h/gelf?header=A:secret").unwrap();
        assert!(!masked("x", &uri).to_string().contains("secret"));
        assert_eq!(parse(whole("x", &uri).to_string().as_bytes()).unwrap().1, uri);
    }

    #[test]
    fn the_text_of_a_mistake_is_one_line() {
        for (json, says) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "adapter is missing"),
            (r#"{"adapter": "gelf"}"#, "address is missing"),
            (r#"{"adapter": "gelf", "address": "h?queue=1"}"#, "address has a ? or #"),
            (r#"{"adapter": "gelf", "address": "h", "id": "../x"}"#, "id has 1 to 64"),
            (r#"{"adapter": "gelf", "address": "h", "id": "."}"#, "id has 1 to 64"),
            (r#"{"adapter": "gelf", "address": "h", "filters": 1}"#, "unknown key \"filters\""),
            (r#"{"adapter": "gelf", "address": "h", "filter_name": ["a"]}"#, "filter_name is not a text"),
            (r#"{"adapter": "gelf", "address": "h", "options": {"queue": {}}}"#, "the option \"queue\""),
            (r#"{"adapter": "gelf", "address": "h", "options": []}"#, "options is not an object"),
        ] {
            let mistake = parse(json.as_bytes()).unwrap_err();
            assert!(mistake.starts_with(says) && !mistake.contains('\n'), "{json}: {mistake}");
        }
    }
}
