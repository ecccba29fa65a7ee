//! A decoder whose buffers have grown allocates nothing for a visitor if all text can be borrowed.

use gelf_core::{Decoder, FieldName, Value, Visitor};

use crate::counting::allocations;

#[derive(Default)]
struct Count(usize);

impl<'a> Visitor<'a> for Count {
    fn field(&mut self, _: FieldName<'a>, _: Value<'a>) {
        self.0 += 1;
    }
}

#[test]
fn decode_with_allocates_nothing_and_decode_allocates_only_fields_and_deviations() {
    let few = r#","full_message":"f","timestamp":1.123456789,"level":6,"_a":"x","_b":1,"_c":1.5,"_d":true,"_e":{"f":[1]}"#;
    let many: String = (0..500).map(|at| format!(r#","_field_{at}":"value {at}","_n{at}":{at}.5"#)).collect();
    for (members, count) in [(few, 5), (&many, 1000)] {
        let payload = format!(r#"{{"version":"1.1","host":"h","short_message":"m"{members}}}"#);
        let mut decoder = Decoder::lenient();
        // Decoding the first payload can grow the buffers.
        decoder.decode_with(payload.as_bytes(), &mut Count::default()).unwrap();
        let mut visitor = Count::default();
        assert_eq!(allocations(|| decoder.decode_with(payload.as_bytes(), &mut visitor).unwrap()), 0);
        assert_eq!(visitor.0, count);
        // A list of 1,000 fields needs seven allocations, and a list of deviations needs one.
        let lists = allocations(|| drop(decoder.decode(payload.as_bytes()).unwrap()));
        assert!((1..=10).contains(&lists), "{lists} allocations");
    }
}
