//! `gelf-router explain`: the effective routes, the variables that are set, and the routes of each running
//! container.

use std::fmt::Write;

use docker_source::{Container, EngineAddress, running_containers};

use crate::failure::Failure;
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
    Ok(explain(routes, variables, warnings, &containers))
}

/// Returns the explanation. Text of containers is escaped.
fn explain(
    routes: &[Route],
    variables: &[&Variable],
    warnings: &[String],
    containers: &[Container],
) -> String {
    let mut text = String::from("Routes\n");
    for (index, route) in routes.iter().enumerate() {
        let name = route.uri().name.as_ref().map(|name| format!(" ({})", name.escape_debug()));
        line(&mut text, 2, &format!("{}: {}{}", index + 1, route.uri().shown(), name.unwrap_or_default()));
        for (option, value) in &route.uri().options {
            let value = if option == "header" { "***".to_owned() } else { value.escape_debug().to_string() };
            line(&mut text, 6, &format!("{option} = {value}"));
        }
    }
    line(&mut text, 6, "Other options have their defaults; see gelf-router --help");
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

fn explain_container(text: &mut String, routes: &[Route], container: &Container) {
    let name = container.name().escape_debug();
    let mismatches: Vec<_> = routes.iter().map(|route| route.mismatch(container)).collect();
    let numbers = mismatches.iter().zip(1..).filter(|(mismatch, _)| mismatch.is_none());
    let numbers: Vec<_> = numbers.map(|(_, number)| format!("{number}")).collect();
    let id = container.short_id();
    if container.is_ignored() {
        return line(text, 2, &format!("{name} {id}: no route, since LOGSPOUT=ignore is in its environment"));
    }
    let destination = match &numbers[..] {
        [] => "no route".to_owned(),
        [number] => format!("route {number}"),
        numbers => format!("routes {}", numbers.join(", ")),
    };
    line(text, 2, &format!("{name} {id}: {destination}"));
    for (mismatch, number) in mismatches.into_iter().zip(1..) {
        if let Some(reason) = mismatch {
            line(text, 6, &format!("not route {number}: {reason}"));
        }
    }
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
            Route::parse("gelf+http://u:p@h?filter.name=shop-*&header=A:secret#main").unwrap(),
            Route::parse("gelf://archive?exclude.label=secret:true&filter.sources=stderr").unwrap(),
        ];
        let named = |name: &str| VARIABLES.iter().find(|variable| variable.name == name).unwrap();
        let containers = [
            Container::builder("shop-1").build(),
            Container::builder("db\u{1b}[31m").label("secret", "true").build(),
            Container::builder("quiet").env("LOGSPOUT=ignore").build(),
            Container::builder("agent").label("gelf-router.agent", "").build(),
        ];
        let warnings = ["route \"syslog://h\" is left out".to_owned()];
        let variables = [named("ALLOW_TTY"), named("DEBUG")];
        let text = explain(&routes, &variables, &warnings, &containers);
        assert_eq!(
            text,
            "\
Routes
  1: gelf+http://h (main)
      filter.name = shop-*
      header = ***
  2: gelf://archive
      exclude.label = secret:true
      filter.sources = stderr
      Other options have their defaults; see gelf-router --help

Variables
  ALLOW_TTY has no effect: containers with a terminal are always read
  DEBUG sets --log-level=debug if that is not given

Warnings
  route \"syslog://h\" is left out

Running containers
  shop-1 000000000000: routes 1, 2
  db\\u{1b}[31m 000000000000: no route
      not route 1: its name does not match shop-*
      not route 2: its label matches secret:true, which is excluded
  quiet 000000000000: no route, since LOGSPOUT=ignore is in its environment
  agent 000000000000: no route
      not route 1: it is an agent, by its label gelf-router.agent or its command
      not route 2: it is an agent, by its label gelf-router.agent or its command
"
        );
    }
}
