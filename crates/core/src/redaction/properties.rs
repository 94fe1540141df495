//! What holds for every text: no panic, redacting twice changes nothing, a secret in its place never survives.

use super::*;
use proptest::prelude::*;

/// Where secrets stand. `@` is replaced by one.
const PLACES: [&str; 44] = [
    "Authorization: Bearer @",
    "Authorization: Basic @",
    "authorization=@",
    "Authorization: token @",
    "bearer @",
    "proxy-authorization: Negotiate @",
    "password=@",
    "password: @ next",
    "password = \"@\"",
    "db_password='@'",
    "{\"client_secret\":\"@\"}",
    "{\"a\":\"{\\\"token\\\":\\\"@\\\"}\"}",
    "AWS_SECRET_ACCESS_KEY=@",
    "x-api-key: @",
    "https://user:@@host/path",
    "redis://:@@host",
    "https://h/p?a=1&sig=@&b=2",
    "/p?access_token=@&b=2",
    "Cookie: sid=@; a=b",
    "Set-Cookie: sid=@; Path=/",
    "user=bob;Password=@;Encrypt=true",
    "AccountKey=@;EndpointSuffix=x",
    "--password @",
    "<password>@</password>",
    "PASSWORD '@'",
    "IDENTIFIED BY '@'",
    "{\"name\":\"API_TOKEN\",\"value\":\"@\"}",
    "password: Some(\"@\")",
    "token%3D@%26b%3D1",
    "token\\u003d@\\u0026b",
    "root:@@tcp(h)/d",
    "passphrase => '@'",
    "config['secret'] = '@'",
    "\"tokens\": [\"@\"]",
    "secrets: {a: @}",
    "signing-key:@",
    "session_token=@, user=x",
    "https://hooks.slack.com/services/@",
    "-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n@",
    "credential=@)",
    "\u{1b}[31mtoken=@\u{1b}[0m",
    "pässwörd token=@",
    "apiKey:  @",
];

const PREFIXES: [&str; 12] = [
    "tim_intake_",
    "tbm_intake_",
    "tandem_",
    "ghp_",
    "github_pat_",
    "glpat-",
    "sk-ant-",
    "sk-",
    "npm_",
    "hf_",
    "whsec_",
    "dckr_pat_",
];

/// Pieces that rules react to, so that random text is not all clean.
const PIECES: [&str; 40] = [
    "token",
    "password",
    "_key",
    "api",
    "=",
    ":",
    " ",
    "\"",
    "'",
    "\\\"",
    "\\",
    "Bearer ",
    "Authorization",
    "Basic ",
    "Cookie",
    "://",
    "@",
    "/",
    "?",
    "&",
    ";",
    ",",
    "[redacted]",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    "ghp_",
    "sk-",
    "eyJ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "\n",
    "%3D",
    "ñ",
    "--",
];

fn mixed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9]{1,40}",
        1 => "\\PC{0,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A secret with a digit and a capital in it, as no word is.
fn secret() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{8}Z9[a-zA-Z0-9]{14,30}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn twice_is_once(text in mixed()) {
        for profile in ["default", "strict"] {
            let redactor = redactor(Some(profile));
            let once = redactor.text(&text, &mut Counts::new()).into_owned();
            let mut counts = Counts::new();
            let twice = redactor.text(&once, &mut counts).into_owned();
            prop_assert_eq!(&once, &twice);
            prop_assert!(counts.is_empty(), "{:?} in {}", counts, once);
        }
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        redactor(Some("strict")).text(&text, &mut Counts::new());
    }

    #[test]
    fn a_named_secret_never_survives(place in prop::sample::select(&PLACES[..]), secret in secret(), around in "[a-z ñ]{0,12}") {
        // In a URL the first `@` is the secret's place and the second its own.
        let text = format!("{around} {} {around}", place.replacen('@', &secret, 1));
        let mut counts = Counts::new();
        let output = redactor(None).text(&text, &mut counts);
        prop_assert!(!output.contains(&secret[4..]), "{} became {}", text, output);
        prop_assert!(!counts.is_empty());
    }

    #[test]
    fn a_password_of_any_signs_never_survives(sign in "[A-Za-z0-9!#$%&()*+,./;>?@\\[\\]^_{|}~-]{10,20}") {
        // Without quotation marks, `=` and `:`, which end a value or begin another name.
        let text = format!("password=Q7{sign}x9Kz tail");
        let output = redactor(None).text(&text, &mut Counts::new()).into_owned();
        prop_assert!(!output.contains("x9Kz") && !output.contains(&sign), "{} became {}", text, output);
        prop_assert!(output.ends_with(" tail"));
    }

    #[test]
    fn a_known_token_never_survives(prefix in prop::sample::select(&PREFIXES[..]), body in "[a-z0-9]{10}7[a-z0-9]{30,40}", text in mixed()) {
        let token = format!("{prefix}{body}");
        let output = redactor(None).text(&format!("{text} {token} {text}"), &mut Counts::new()).into_owned();
        prop_assert!(!output.contains(&body), "{}", output);
    }

    #[test]
    fn json_strings_and_keys(secret in secret(), depth in 0usize..20) {
        let mut value = serde_json::json!({"a": {"db_password": secret.clone()}, "b": [format!("token={secret}")]});
        for _ in 0..depth {
            value = serde_json::json!({"x": [value]});
        }
        let redactor = redactor(None);
        redactor.json(&mut value, &mut Counts::new());
        prop_assert!(!value.to_string().contains(&secret));
        let mut counts = Counts::new();
        let once = value.clone();
        redactor.json(&mut value, &mut counts);
        prop_assert_eq!(once, value);
        prop_assert!(counts.is_empty());
    }
}

/// Found by the property above.
#[test]
fn a_coded_equals_sign_behind_a_plain_separator_is_part_of_the_password() {
    for sign in ["(];a0%3daA", "|b%3Dc", ",c%3d1", "&d\\u003d2", "a#A]%27#a0"] {
        let text = format!("password=Q7{sign}x9Kz tail");
        let output = redactor(None).text(&text, &mut Counts::new()).into_owned();
        assert_eq!(output, "password=[redacted] tail", "{text}");
    }
}
