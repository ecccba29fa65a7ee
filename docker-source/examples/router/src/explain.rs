//! `gelf-router explain`: prints the effective routes, the variables that are set, and the routes of each
//! running container.

use std::fmt::Write;
use std::sync::Arc;

use docker_source::gelf::GelfFormatter;
use docker_source::{Container, EngineAddress, Record, running_containers};

use crate::failure::Failure;
use crate::lines::LineSettings;
use crate::logspout::{Effect, Variable};
use crate::route::Route;

/// Asks the Engine for its running containers, and returns the explanation.
///
/// # Errors
/// Returns an error if the Engine does not answer.
pub(crate) async fn run(
    address: EngineAddress,
    routes: &[Route],
    variables: &[&Variable],
    warnings: &[String],
) -> Result<String, Failure> {
    let containers = running_containers(address).await.map_err(Failure::refused)?;
    let containers: Vec<_> = containers.into_iter().map(Arc::new).collect();
    Ok(explain(routes, variables, warnings, &containers))
}

/// Returns the explanation. Text of containers is escaped.
fn explain(
    routes: &[Route],
    variables: &[&Variable],
    warnings: &[String],
    containers: &[Arc<Container>],
) -> String {
    let mut text = String::from("Routes\n");
    for (index, route) in routes.iter().enumerate() {
        let name = route.uri().name.as_ref().map(|name| format!(" ({})", shown(name)));
        line(&mut text, 2, &format!("{}: {}{}", index + 1, route.uri().shown(), name.unwrap_or_default()));
        for (option, value) in &route.uri().options {
            let value = if option == "header" { "***".to_owned() } else { shown(value) };
            line(&mut text, 6, &format!("{option} = {value}"));
        }
    }
    line(&mut text, 2, "Other options have their defaults; see gelf-router --help");
    text.push_str("\nVariables\n");
    for Variable { name, effect } in variables {
        match effect {
            Effect::Some(effect) => line(&mut text, 2, &format!("{name} {effect}")),
            Effect::None(reason) => line(&mut text, 2, &format!("{name} has no effect: {reason}")),
        }
    }
    if variables.is_empty() {
        line(&mut text, 2, "No variable of Logspout is set");
    }
    if !warnings.is_empty() {
        text.push_str("\nWarnings\n");
        warnings.iter().for_each(|warning| line(&mut text, 2, warning));
    }
    text.push_str("\nRunning containers\n");
    for container in containers {
        explain_container(&mut text, routes, container);
    }
    if containers.is_empty() {
        line(&mut text, 2, "None");
    }
    text
}

/// Adds the routes that select a container, and the settings and fields of the container's messages on these
/// routes. Also adds the reasons why other routes do not select the container.
fn explain_container(text: &mut String, routes: &[Route], container: &Arc<Container>) {
    let (name, id) = (shown(container.name()), container.short_id());
    if container.is_ignored() {
        return line(text, 2, &format!("{name} {id}: no route, since LOGSPOUT=ignore is in its environment"));
    }
    let mut taken = Vec::new();
    let mut settings = Vec::new();
    let mut reasons = Vec::new();
    for (route, number) in routes.iter().zip(1..) {
        match route.mismatch(container) {
            None => {
                taken.push(number);
                settings.extend(settings_on(route, container).into_iter().map(|setting| (number, setting)));
            }
            Some(reason) => reasons.push((number, shown(&reason))),
        }
    }
    let destination = if taken.is_empty() { "no route".to_owned() } else { numbered(&taken) };
    line(text, 2, &format!("{name} {id}: {destination}"));
    for (numbers, setting) in by_text(settings) {
        let route = if numbers == taken { String::new() } else { format!("{}: ", numbered(&numbers)) };
        line(text, 6, &format!("{route}{setting}"));
    }
    for (numbers, reason) in by_text(reasons) {
        line(text, 6, &format!("not {}: {reason}", numbered(&numbers)));
    }
}

/// Returns `route 1`, or `routes 1, 2`.
fn numbered(numbers: &[usize]) -> String {
    let listed: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    format!("route{} {}", if numbers.len() == 1 { "" } else { "s" }, listed.join(", "))
}

/// Returns each text once, with the numbers of the routes that have the text.
fn by_text(texts: Vec<(usize, String)>) -> Vec<(Vec<usize>, String)> {
    let mut once: Vec<(Vec<usize>, String)> = Vec::new();
    for (number, text) in texts {
        match once.iter_mut().find(|(_, known)| *known == text) {
            Some((numbers, _)) => numbers.push(number),
            None => once.push((vec![number], text)),
        }
    }
    once
}

/// Returns the settings of a container's lines on a route, the labels that cannot be used, and the names of
/// the fields of the container's messages. A setting is left out if both the container and the route have it off.
fn settings_on(route: &Route, container: &Arc<Container>) -> Vec<String> {
    let LineSettings { rule, content, problems } = LineSettings::of(container, &route.joining, route.content);
    let named = |rule: Option<String>| rule.unwrap_or_else(|| "off".to_owned());
    let rules = [rule.as_ref(), route.joining.default()].map(|rule| named(rule.map(ToString::to_string)));
    let contents = [content, route.content].map(|content| content.to_string());
    let strips = [content, route.content].map(|content| content.strip_ansi.to_string());
    let mut lines = Vec::new();
    for (option, [value, of_route]) in [("multiline", rules), ("content", contents), ("strip_ansi", strips)] {
        let is_off = |value: &str| matches!(value, "off" | "false");
        match value == of_route {
            true if is_off(&value) => {}
            true => lines.push(format!("{option} = {}", shown(&value))),
            false => lines.push(format!("{option} = {}, as the container asks", shown(&value))),
        }
    }
    lines.extend(problems.iter().map(|problem| shown(problem)));
    let record = Record::builder(Arc::clone(container), "").build();
    let mut formatter = GelfFormatter::new(route.format.clone());
    let message = formatter.message(&record);
    let fields: Vec<_> = message.fields().map(|(name, _)| format!("_{name}")).collect();
    lines.push(format!("fields: {}", fields.join(", ")));
    lines
}

/// Returns a text in which the characters that a terminal does not show are escaped. Backslashes and quotes
/// stay as they are, since patterns may contain them.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

fn line(text: &mut String, indent: usize, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{line}", "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logspout::VARIABLES;

    #[test]
    fn each_route_variable_and_container_is_explained() {
        let routes = [
            Route::parse("gelf+http://u:p@h?filter.name=shop-*&header=A:secret&multiline=java#main").unwrap(),
            Route::parse("gelf://archive?exclude.label=secret:true&filter.sources=stderr&env=TEAM").unwrap(),
            Route::parse("gelf://traces?multiline.pattern=^%5Cs&multiline.default=false&compat=vincit-2017")
                .unwrap(),
        ];
        let named = |name: &str| VARIABLES.iter().find(|variable| variable.name == name).unwrap();
        let containers = [
            Container::builder("shop-1")
                .label("gelf.multiline", "python")
                .label("gelf.content", "json,level")
                .label("gelf_team", "blue")
                .label("gelf_type", "forged")
                .build(),
            Container::builder("shop-2")
                .label("gelf.multiline", "off")
                .label("gelf.strip_ansi", "maybe\u{202e}")
                .label("com.docker.compose.project", "shop")
                .build(),
            Container::builder("shop-3")
                .label("gelf.multiline", "cobol")
                .label("gelf.content", "xml")
                .label("gelf.strip_ansi", "true")
                .build(),
            Container::builder("web").env("LOGSPOUT_MULTILINE=true").env("TEAM=blue").env("SECRET=x").build(),
            Container::builder("db\u{1b}[31m").label("secret", "true").build(),
            Container::builder("quiet").env("LOGSPOUT=ignore").build(),
            Container::builder("agent").label("gelf-router.agent", "").build(),
        ];
        let containers = containers.map(Arc::new);
        let warnings = ["route \"syslog://h\" is left out".to_owned()];
        let variables = [named("ALLOW_TTY"), named("DEBUG")];
        let text = explain(&routes, &variables, &warnings, &containers);
        assert_eq!(text, include_str!("../tests/explanation.txt"));
    }

    #[test]
    fn an_explanation_says_that_there_are_no_variables_and_no_containers() {
        let text = explain(&[Route::parse("gelf://h").unwrap()], &[], &[], &[]);
        assert!(text.contains("No variable of Logspout is set"), "{text}");
        assert!(text.ends_with("Running containers\n  None\n"), "{text}");
    }
}
