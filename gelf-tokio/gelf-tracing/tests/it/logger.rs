//! Tests the logger for the crate `log`.

use gelf_tracing::GelfLogger;
use log::{Level, Log, Record};
use serde_json::json;

use crate::support::Receiver;

#[test]
fn a_record_has_its_origin_and_typed_key_values() {
    let receiver = Receiver::tcp();
    let uri = format!("gelf+tcp://{}", receiver.address);
    let builder = GelfLogger::builder(&uri).unwrap().field("service", "shop");
    let (logger, _guard) = builder.build_logger().unwrap();
    let error = std::io::Error::other("refused");
    let values: &[(&str, log::kv::Value<'_>)] = &[
        ("order", 4711.into()),
        ("amount", 9.5.into()),
        ("paid", true.into()),
        ("user", "Ünal".into()),
        ("level", 1.into()),
        ("huge", u128::MAX.into()),
        ("error", log::kv::Value::from_dyn_display(&error)),
    ];
    let record = |target, text| {
        logger.log(
            &Record::builder()
                .level(Level::Warn)
                .target(target)
                .module_path(Some("shop::pay"))
                .file(Some("src/pay.rs"))
                .line(Some(7))
                .key_values(&values)
                .args(text)
                .build(),
        );
    };
    record("gelf_tokio::client", format_args!("of the transport"));
    record("shop", format_args!("payment refused\nby the bank"));
    logger.flush();
    let sent = receiver.next();
    let expected = json!({
        "level": 4,
        "short_message": "payment refused",
        "full_message": "payment refused\nby the bank",
        "_service": "shop",
        "_target": "shop",
        "_module": "shop::pay",
        "_file": "src/pay.rs",
        "_line": 7,
        "_order": 4711,
        "_amount": 9.5,
        "_paid": "true",
        "_user": "Ünal",
        "_level_2": 1,
        "_huge": "340282366920938463463374607431768211455",
        "_error": "refused",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&sent[name], value, "{name}");
    }
}
