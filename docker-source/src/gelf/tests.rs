use std::sync::{Arc, OnceLock};

use gelf_core::{Decoder, FieldSet, InvalidFieldName, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::engine::{ContainerId, Inspect};
use crate::redact::{Redaction, Secret};

const ID: &str = "9cd5aab0f0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456";

pub(super) fn container(inspect: &Value) -> Container {
    let inspect = serde_json::from_value(inspect.clone()).unwrap();
    Container::from_inspect(&ContainerId::parse(ID).unwrap(), inspect, "engine-1".into())
}

/// Returns a container of an ECS task, as in a deployment with the shape `vincit-2017`.
fn task_container() -> Container {
    container(&json!({
        "Name": "/ecs-production-backend-app-12-app-9cd5aab0f0a1b2c3d4e5",
        "Created": "2017-10-05T11:22:33.123456789Z",
        "Path": "/entry.sh",
        "Args": ["node", "server.js"],
        "Image": "sha256:4f0c9dbb2b7e0f6c3d1a5e8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d",
        "Config": {
            "Image": "registry.example/backend-app:58",
            "Entrypoint": ["/entry.sh"],
            "Cmd": ["node", "server.js"],
            "Labels": {
                "com.amazonaws.ecs.cluster": "production",
                "com.amazonaws.ecs.container-name": "app",
                "com.amazonaws.ecs.task-arn":
                    "arn:aws:ecs:eu-west-1:123456789012:task/0f9de17a-6465-404e-8b1b-2356dc13c2f8",
                "com.amazonaws.ecs.task-definition-family": "production-backend-app",
                "com.amazonaws.ecs.task-definition-version": "12",
                "gelf_team": "payments",
            },
        },
    }))
}

/// Returns a container without labels.
fn plain_container() -> Container {
    container(&json!({
        "Name": "/ecs-agent", "Created": "2017-10-05T11:22:33.5Z", "Path": "/agent", "Args": [], "Image": "sha256:00",
        "Config": {"Image": "amazon/amazon-ecs-agent:latest", "Cmd": null, "Entrypoint": ["/agent"], "Labels": null},
    }))
}

fn record(container: &Arc<Container>, stream: LogStream, text: &str) -> Record {
    let time = Timestamp::from_rfc3339("2017-10-06T07:08:09.98765432Z").unwrap();
    Record::builder(Arc::clone(container), text.to_owned()).stream(stream).time(time).build()
}

fn encoded(formatter: &mut GelfFormatter, record: &Record) -> String {
    formatter.message(record).to_string()
}

fn stdout_set(format: &GelfFormat, container: &Container) -> FieldSet {
    let ([stdout, _], _) = format.field_sets(container);
    stdout
}

fn field(set: &FieldSet, name: &str) -> Option<String> {
    set.field(name).map(ToString::to_string)
}

/// The golden files are also used by tests with other readers of GELF.
#[test]
fn messages_of_each_shape_equal_its_golden_file() {
    let golden = [
        (Compat::Docker, include_str!("../../tests/golden/docker.jsonl")),
        (Compat::Micahhausler, include_str!("../../tests/golden/micahhausler.jsonl")),
        (Compat::Vincit2017, include_str!("../../tests/golden/vincit-2017.jsonl")),
    ];
    for (compat, expected) in golden {
        let mut formatter = GelfFormatter::new(GelfFormat::default().with_compat(compat));
        let (task, plain) = (Arc::new(task_container()), Arc::new(plain_container()));
        let records = [
            record(&task, LogStream::Stdout, "GET /items/17 200 <1.5 ms>"),
            record(&task, LogStream::Stderr, "payment \"refused\": ä\tb"),
            record(
                &plain,
                LogStream::Stdout,
                "level=info time=2017-10-06T07:08:09Z msg=\"Registered container instance\"",
            ),
        ];
        let messages: Vec<_> = records.iter().map(|record| encoded(&mut formatter, record)).collect();
        assert_eq!(messages, expected.lines().collect::<Vec<_>>(), "{compat}");
        for message in &messages {
            Decoder::strict().decode(message.as_bytes()).unwrap();
        }
    }
}

#[test]
fn unknown_metadata_are_left_out() {
    let container = container(&json!({}));
    let names = |compat| {
        let set = stdout_set(&GelfFormat::default().with_compat(compat), &container);
        set.fields().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(Compat::Docker), ["container_id", "tag", "source_stream"]);
    assert_eq!(names(Compat::Micahhausler), ["container_id"]);
    assert_eq!(names(Compat::Vincit2017), ["container_id"]);
}

#[test]
fn a_message_has_the_given_host_and_the_constant_fields_before_the_labels() {
    let format = GelfFormat::default()
        .with_host("web-1")
        .unwrap()
        .with_field("_environment", "production")
        .unwrap()
        .with_field("team", "ops")
        .unwrap();
    let set = stdout_set(&format, &task_container());
    assert_eq!(set.host(), "web-1");
    let names: Vec<_> = set.fields().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[names.len() - 3..], ["environment", "team", "label_team"]);
    assert_eq!(field(&set, "team").as_deref(), Some("ops"));
    assert_eq!(field(&set, "label_team").as_deref(), Some("payments"));
}

#[test]
fn a_blank_host_is_refused() {
    for host in ["", " ", "\n\t"] {
        assert_eq!(GelfFormat::default().with_host(host).unwrap_err(), InvalidFormat::Blank);
    }
}

#[test]
fn a_constant_field_that_is_forbidden_reserved_or_repeated_is_refused() {
    let refused = |name: &str| GelfFormat::default().with_field(name, "x").unwrap_err();
    assert_eq!(refused("a b"), InvalidFormat::Name(InvalidFieldName::Character { at: 1 }));
    assert_eq!(refused(""), InvalidFormat::Name(InvalidFieldName::Empty));
    assert_eq!(refused("_id"), InvalidFormat::Name(InvalidFieldName::Reserved));
    for name in ["container_name", "_tag", "ecs_cluster", "type", "host", "timestamp", "message", "level"] {
        assert_eq!(refused(name), InvalidFormat::Reserved, "{name}");
    }
    let format = GelfFormat::default().with_field("a", "1").unwrap();
    assert_eq!(format.with_field("_a", "2").unwrap_err(), InvalidFormat::Repeated);
}

#[test]
fn the_fields_of_a_message_except_those_of_gelf_labels_are_reserved_in_every_shape() {
    for compat in Compat::ALL {
        let mut formatter = GelfFormatter::new(GelfFormat::default().with_compat(compat));
        let container = Arc::new(task_container());
        let record = record(&container, LogStream::Stdout, "x");
        for (name, _) in formatter.message(&record).fields() {
            assert!(names::is_reserved(name.as_str()) || name.as_str() == "team", "{compat}: {name}");
        }
    }
}

#[test]
fn cut_and_unfinished_lines_are_marked_in_every_shape() {
    let container = Arc::new(plain_container());
    let line = || Record::builder(Arc::clone(&container), "abc");
    for compat in Compat::ALL {
        let mut formatter = GelfFormatter::new(GelfFormat::default().with_compat(compat));
        let cut = line().cut_from(5).build();
        assert_eq!(formatter.message(&cut).field("truncated").unwrap().as_i64(), Some(5));
        let unfinished = line().unfinished().build();
        assert_eq!(formatter.message(&unfinished).field("partial").unwrap().to_string(), "true");
        let whole = line().build();
        let message = formatter.message(&whole);
        assert!(message.field("truncated").is_none() && message.field("partial").is_none());
    }
}

#[test]
fn the_formatter_forgets_containers_that_were_dropped() {
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    let live: Vec<_> = (0..50).map(|_| Arc::new(plain_container())).collect();
    for container in &live {
        formatter.message(&record(container, LogStream::Stdout, "x"));
    }
    for _ in 0..10_000 {
        formatter.message(&record(&Arc::new(plain_container()), LogStream::Stdout, "x"));
        assert!(formatter.containers.len() <= 101, "{}", formatter.containers.len());
    }
    for container in &live {
        assert!(formatter.containers.contains_key(&Arc::as_ptr(container).addr()));
    }
}

#[test]
fn the_messages_of_each_container_are_numbered_across_renamings() {
    let mut formatter = GelfFormatter::new(GelfFormat::default().with_sequence(7));
    let web = Arc::new(plain_container());
    let renamed = Arc::new(web.renamed("/other"));
    let id = ContainerId::parse("fedcba987654").unwrap();
    let other = Arc::new(Container::from_inspect(&id, Inspect::default(), "host".into()));
    let mut second = 0;
    let mut numbers = |container: &Arc<Container>| {
        second += 1;
        let time = Timestamp::from_unix(second, 0).unwrap();
        let record = Record::builder(Arc::clone(container), "x").time(time).build();
        // A message that is formatted again has the same number.
        [(); 2].map(|()| {
            let message = formatter.message(&record);
            assert_eq!(message.field("seq_epoch").unwrap().as_i64(), Some(7));
            message.field("seq").unwrap().as_i64().unwrap()
        })
    };
    assert_eq!([&web, &web, &renamed, &other, &web].map(&mut numbers), [1, 2, 3, 1, 4].map(|n| [n, n]));
}

#[test]
fn numbers_go_on_as_long_as_the_container_exists() {
    fn number(formatter: &mut GelfFormatter, container: &Arc<Container>) -> i64 {
        let time = formatter.numbers.get(container.id()).map_or(0, |last| last.number as i64);
        let time = Timestamp::from_unix(time, 0).unwrap();
        let record = Record::builder(Arc::clone(container), "x").time(time).build();
        formatter.message(&record).field("seq").unwrap().as_i64().unwrap()
    }
    let mut formatter = GelfFormatter::new(GelfFormat::default().with_sequence(7));
    let mut quiet = Arc::new(Container::builder("web").id("quiet").build());
    assert_eq!(number(&mut formatter, &quiet), 1);
    // The formatter has no field set of the renamed container.
    quiet = Arc::new(quiet.renamed("other"));
    let others: Vec<_> = (0..1000)
        .map(|other| Arc::new(Container::builder("job").id(format!("job-{other}")).build()))
        .collect();
    for other in &others {
        assert_eq!([(); 2].map(|()| number(&mut formatter, other)), [1, 2], "{}", other.id());
    }
    assert_eq!(number(&mut formatter, &quiet), 2);
    drop(others);
    for job in 1000..4000 {
        number(&mut formatter, &Arc::new(Container::builder("job").id(format!("job-{job}")).build()));
    }
    assert!(formatter.numbers.len() <= 65, "{}", formatter.numbers.len());
    assert_eq!(number(&mut formatter, &quiet), 3);
}

#[test]
fn the_tag_of_a_template_is_in_every_shape() {
    for compat in Compat::ALL {
        let format = GelfFormat::default().with_compat(compat).with_tag("{{.ImageName}}/{{.Name}}").unwrap();
        let set = stdout_set(&format, &plain_container());
        let tag = "amazon/amazon-ecs-agent:latest/ecs-agent";
        assert_eq!(field(&set, "tag").as_deref(), Some(tag), "{compat}");
        let set = stdout_set(&format.with_tag("").unwrap(), &plain_container());
        assert_eq!(field(&set, "tag").is_some(), compat == Compat::Docker);
    }
}

#[test]
fn the_instance_is_in_messages_once_it_is_known() {
    let id = Arc::new(OnceLock::new());
    let mut formatter = GelfFormatter::new(GelfFormat::default().with_ec2_instance_id(id.clone()));
    let line = record(&Arc::new(plain_container()), LogStream::Stdout, "x");
    assert!(formatter.message(&line).field("ec2_instance_id").is_none());
    id.set("i-0123456789abcdef0".to_owned()).unwrap();
    let message = formatter.message(&line);
    assert_eq!(message.field("ec2_instance_id").unwrap().as_str(), Some("i-0123456789abcdef0"));
    assert!(formatter.has_instance && formatter.containers.len() == 1);
}

#[test]
fn labels_of_an_orchestrator_are_fields_that_other_labels_and_variables_cannot_replace() {
    let labels = json!({"com.docker.compose.project": "shop", "gelf_compose_project": "forged"});
    let container = container(&json!({"Config": {"Labels": labels, "Env": ["compose_project=forged"]}}));
    let format = GelfFormat::default().with_env("*").unwrap().with_labels("*project").unwrap();
    let set = stdout_set(&format, &container);
    let value = |name| field(&set, name).unwrap();
    assert_eq!(value("compose_project"), "shop");
    assert_eq!(value("label_compose_project"), "forged");
    assert_eq!(value("env_compose_project"), "forged");
    assert_eq!(value("com.docker.compose.project"), "shop");
    let refused = GelfFormat::default().with_field("compose_project", "x").unwrap_err();
    assert_eq!(refused, InvalidFormat::Reserved);
}

#[test]
fn secrets_are_redacted_in_text_commands_labels_and_variables() {
    let redaction = Redaction::default().with(Secret::Key).and_then(|keys| keys.with(Secret::Mail)).unwrap();
    let format = GelfFormat::default().with_env("*").unwrap().with_redaction(redaction);
    let container = Container::builder("web")
        .command("/run", "--password=hunter2 serve")
        .label("gelf_owner", "a@example.com")
        .env("DB_PASSWORD=correct horse")
        .env("STAGE=prod")
        .build();
    let line = record(&Arc::new(container), LogStream::Stdout, "token=abc by a@example.com");
    let mut formatter = GelfFormatter::new(format);
    let message = formatter.message(&line);
    assert_eq!(message.short_message(), "token=*** by ***");
    let value = |name| message.field(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(value("command"), "/run --password=*** serve");
    assert_eq!(
        (value("owner"), value("DB_PASSWORD"), value("STAGE")),
        ("***".into(), "***".into(), "prod".into())
    );
}
