//! Canonical JSON.

use super::super::{canonical_json, json_depth};
use super::json;

fn check(input: &str, expect: &str) {
    assert_eq!(canonical_json(&json(input)), expect, "{input}");
}

/// RFC 8785, sections 3.2.2 to 3.2.4.
#[test]
fn the_example_of_the_rfc_comes_out_as_there() {
    check(
        r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#,
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    );
    check(
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    );
}

/// RFC 8785, appendix B: doubles by their bits.
#[test]
fn numbers_are_written_as_ecmascript_does() {
    for (bits, expect) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
    ] {
        let number = serde_json::Number::from_f64(f64::from_bits(bits)).unwrap();
        assert_eq!(canonical_json(&number.into()), expect, "{bits:x}");
    }
    check("[1, 1.0, 10e-1, -0, 100]", "[1,1,1,0,100]");
}

#[test]
fn the_order_of_keys_and_blanks_does_not_matter() {
    check(
        r#" { "b" : [ 1 , { "d" : 1 , "c" : 2 } ] , "a" : { } } "#,
        r#"{"a":{},"b":[1,{"c":2,"d":1}]}"#,
    );
}

#[test]
fn depth_counts_arrays_and_objects() {
    for (input, expect) in [
        ("1", 0),
        ("[]", 1),
        ("{}", 1),
        (r#"{"a":1}"#, 1),
        (r#"[1,[2,{"a":[]}]]"#, 4),
    ] {
        assert_eq!(json_depth(&json(input)), expect, "{input}");
    }
}
