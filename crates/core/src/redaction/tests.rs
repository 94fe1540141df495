//! What is found and what stays, as tables. Literals that a scanner would take for live tokens are put together here.

mod readable;

use super::*;

fn run(profile: &str, input: &str) -> (String, Counts) {
    let mut counts = Counts::new();
    let output = redactor(Some(profile)).text(input, &mut counts).into_owned();
    (output, counts)
}

fn check(profile: &str, cases: &[(&str, String, &str)]) {
    let mut wrong = Vec::new();
    for (rule, input, expected) in cases {
        let (output, counts) = run(profile, input);
        if output != *expected {
            wrong.push(format!("{rule}: {input}\n     got {output}\n  wanted {expected}"));
        } else if counts.keys().copied().collect::<Vec<_>>() != [*rule] {
            wrong.push(format!("{input}\n     got {counts:?}\n  wanted only {rule}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn s(text: &str) -> String {
    text.to_owned()
}

/// `n` letters and digits, none of which a scanner knows.
fn filler(n: usize) -> String {
    "a1B2c3D4e5F6g7H8i9J0".chars().cycle().take(n).collect()
}

fn hex(n: usize) -> String {
    "0a1b2c3d4e5f6789".chars().cycle().take(n).collect()
}

#[test]
fn headers() {
    check(
        "default",
        &[
            ("authorization", s("Authorization: Bearer abc.def-ghi"), "Authorization: Bearer [redacted]"),
            ("authorization", s("authorization=Basic dXNlcjpwYXNz"), "authorization=Basic [redacted]"),
            ("authorization", s("Authorization: hunter2"), "Authorization: [redacted]"),
            ("authorization", s("Authorization: token abc"), "Authorization: token [redacted]"),
            ("authorization", s("Authorization: Custom a1b2c3d4e5f6g7"), "Authorization: [redacted]"),
            (
                "authorization",
                s("> Authorization: Bearer abc\r\n> Host: x"),
                "> Authorization: Bearer [redacted]\r\n> Host: x",
            ),
            (
                "authorization",
                s(r#"{"Authorization": "Bearer abc", "a": 1}"#),
                r#"{"Authorization": "Bearer [redacted]", "a": 1}"#,
            ),
            (
                "authorization",
                s(r#"Authorization: Digest username="m", response="6629", uri="/""#),
                "Authorization: Digest [redacted]",
            ),
            (
                "authorization",
                s("Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=cc"),
                "Authorization: AWS4-HMAC-SHA256 [redacted]",
            ),
            (
                "authorization",
                s("curl -H 'Authorization: Bearer abc' https://x"),
                "curl -H 'Authorization: Bearer [redacted]' https://x",
            ),
            ("authorization", s(r#"("Authorization", "Bearer abc")"#), r#"("Authorization", "Bearer [redacted]")"#),
            ("authorization", s("_auth=dXNlcjpwYXNz"), "_auth=[redacted]"),
            ("bearer", s("got bearer abc123 from client"), "got bearer [redacted] from client"),
            ("bearer", s("sent Bearer mF_9.B5f-4.1JqM."), "sent Bearer [redacted]."),
            ("bearer", s("Bearer%20abc123"), "Bearer%20[redacted]"),
            ("basic", s("sent Basic dXNlcjpwYXNz to it"), "sent Basic [redacted] to it"),
            ("basic", s("+ curl -fsS -u ci:hunter2 https://x"), "+ curl -fsS -u ci:[redacted] https://x"),
            ("basic", s("curl --user 'ci:a b' https://x"), "curl --user 'ci:[redacted]' https://x"),
            ("basic", s("curl --proxy-user=ci:hunter2 x"), "curl --proxy-user=ci:[redacted] x"),
            ("basic", s("curl -uci:hunter2 x"), "curl -uci:[redacted] x"),
            ("cookie", s("Cookie: sid=abc; theme=dark"), "Cookie: [redacted]"),
            ("cookie", s("set-cookie: id=1; Path=/; HttpOnly\nnext"), "set-cookie: [redacted]\nnext"),
            ("cookie", s(r#"{"cookie":"a=b; c=d","x":1}"#), r#"{"cookie":"[redacted]","x":1}"#),
            ("cookie", s(r"Cookie: a=b; c=d\r\nHost: x"), r"Cookie: [redacted]\r\nHost: x"),
            ("cookie", s("Cookie: a=%22b%22; sid=Abcdefgh1234567890"), "Cookie: [redacted]"),
            ("cookie", s("-H 'Cookie: a=b; c=d' -v"), "-H 'Cookie: [redacted]' -v"),
        ],
    );
}

#[test]
fn keys_and_values() {
    let cases: Vec<(&str, String, &str)> = [
        ("password: hunter2", "password: [redacted]"),
        ("token: abc", "token: [redacted]"),
        ("secret=x", "secret=[redacted]"),
        ("credential: abc", "credential: [redacted]"),
        ("api_key=abc api-key=abc apikey=abc", "api_key=[redacted] api-key=[redacted] apikey=[redacted]"),
        ("PASSWORD = hunter2 next", "PASSWORD = [redacted] next"),
        ("password:hunter2, user: bob", "password:[redacted], user: bob"),
        ("user=bob,password=hunter2,host=x", "user=bob,password=[redacted],host=x"),
        ("password=a,b;c&d", "password=[redacted]"),
        ("access_token=abc", "access_token=[redacted]"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+ghi=", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("export DB_PASSWORD='a b c'", "export DB_PASSWORD='[redacted]'"),
        ("client-secret: abc", "client-secret: [redacted]"),
        ("clientSecret: abc", "clientSecret: [redacted]"),
        ("x-api-key: abc", "x-api-key: [redacted]"),
        ("passwd=abc pwd=abc", "passwd=[redacted] pwd=[redacted]"),
        ("pass=hunter2", "pass=[redacted]"),
        ("signing_key = \"quoted value\"", "signing_key = \"[redacted]\""),
        ("spring.datasource.password=abc", "spring.datasource.password=[redacted]"),
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=YWJj==;EndpointSuffix=e",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=[redacted];EndpointSuffix=e",
        ),
        (
            "Endpoint=sb://n.example/;SharedAccessKeyName=Root;SharedAccessKey=YWJj=",
            "Endpoint=sb://n.example/;SharedAccessKeyName=Root;SharedAccessKey=[redacted]",
        ),
        ("Server=x;User Id=sa;Password=p;ssw0rd!;Encrypt=true", "Server=x;User Id=sa;Password=[redacted];Encrypt=true"),
        (r#"{"client_secret": "x y", "a": 1}"#, r#"{"client_secret": "[redacted]", "a": 1}"#),
        (r#"{"password":12345}"#, r#"{"password":[redacted]}"#),
        (r#""body":"{\"token\":\"x\",\"a\":1}""#, r#""body":"{\"token\":\"[redacted]\",\"a\":1}""#),
        (r#"{\\\"token\\\": \\\"x\\\"}"#, r#"{\\\"token\\\": \\\"[redacted]\\\"}"#),
        (r#"{"password":"a\"b c"}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"password":"a\\"} tail"#, r#"{"password":"[redacted]"} tail"#),
        (r"\u0022token\u0022:\u0022x\u0022", r"\u0022token\u0022:\u0022[redacted]\u0022"),
        ("&quot;token&quot;:&quot;x&quot;", "&quot;token&quot;:&quot;[redacted]&quot;"),
        ("next=%2Fa%3Ftoken%3Dabc%26b%3D1", "next=%2Fa%3Ftoken%3D[redacted]%26b%3D1"),
        (r"a\u0026token\u003dabc\u0026b\u003d1", r"a\u0026token\u003d[redacted]\u0026b\u003d1"),
        ("GET /x?token=abc&b=1 200", "GET /x?token=[redacted]&b=1 200"),
        ("{'password': b'abc'}", "{'password': b'[redacted]'}"),
        (r#"Config { password: Some("a b") }"#, r#"Config { password: Some("[redacted]") }"#),
        (":password=>\"x\"", ":password=>\"[redacted]\""),
        ("config['password'] = 'x'", "config['password'] = '[redacted]'"),
        ("<password>hunter2</password>", "<password>[redacted]</password>"),
        ("<w:Password>a b</w:Password>", "<w:Password>[redacted]</w:Password>"),
        ("mysql --password hunter2 -h x", "mysql --password [redacted] -h x"),
        ("tool --token=abc run", "tool --token=[redacted] run"),
        ("ALTER USER bob WITH PASSWORD 'a b'", "ALTER USER bob WITH PASSWORD '[redacted]'"),
        ("CREATE USER bob IDENTIFIED BY 'x'", "CREATE USER bob IDENTIFIED BY '[redacted]'"),
        (r#"{"name":"DB_PASSWORD","value":"x"}"#, r#"{"name":"DB_PASSWORD","value":"[redacted]"}"#),
        ("- name: DB_PASSWORD\n  value: x", "- name: DB_PASSWORD\n  value: [redacted]"),
        (r#"("x-api-key", "abc")"#, r#"("x-api-key", "[redacted]")"#),
        (r#""tokens": ["a", "b"], "c": 1"#, r#""tokens": [redacted], "c": 1"#),
        ("Key (token)=(abc123) already exists.", "Key (token)=[redacted] already exists."),
        ("machine x login bob password hunter2", "machine x login bob password [redacted]"),
        (r"token=abc\nuser=bob", r"token=[redacted]\nuser=bob"),
        ("connect.sid=s%3Aabc; a=b", "connect.sid=[redacted]; a=b"),
        ("secret_key_base: abc", "secret_key_base: [redacted]"),
        ("password=\"unclosed value", "password=\"[redacted]"),
        ("password=[redacted]hunter2", "password=[redacted]"),
        ("token: 482913", "token: [redacted]"),
        ("ñtoken=ñandú.", "ñtoken=[redacted]"),
        ("密码 password：x password: 秘密", "密码 password：x password: [redacted]"),
    ]
    .into_iter()
    .map(|(input, expected)| ("key_value", s(input), expected))
    .collect();
    check("default", &cases);
}

#[test]
fn urls() {
    check(
        "default",
        &[
            ("url_userinfo", s("postgres://app:s3cret@db:5432/x"), "postgres://app:[redacted]@db:5432/x"),
            (
                "url_userinfo",
                s("https://x-access-token:abc@h.example/r"),
                "https://x-access-token:[redacted]@h.example/r",
            ),
            ("url_userinfo", s("redis://:pw@host"), "redis://:[redacted]@host"),
            ("url_userinfo", s("redis://:pa/ss@host/0"), "redis://:[redacted]@host/0"),
            ("url_userinfo", s("amqp://u:p@ss@host"), "amqp://u:[redacted]@host"),
            (
                "url_userinfo",
                format!("https://{}@o1.ingest.example/2", hex(32)),
                "https://[redacted]@o1.ingest.example/2",
            ),
            ("url_userinfo", s("https://abc:x-oauth-basic@github.com/o/r"), "https://[redacted]@github.com/o/r"),
            ("url_userinfo", s("root:hunter2@tcp(db:3306)/x"), "root:[redacted]@tcp(db:3306)/x"),
            (
                "url_query",
                s("https://b.example/c?sv=1&sig=abc%2Fd%3D&se=2"),
                "https://b.example/c?sv=1&sig=[redacted]&se=2",
            ),
            (
                "url_query",
                s("https://s3.example/k?X-Amz-Signature=abc"),
                "https://s3.example/k?X-Amz-Signature=[redacted]",
            ),
            ("url_query", s("/cb?code=4f0AbCdEfGh12&state=s"), "/cb?code=[redacted]&state=s"),
            (
                "webhook_url",
                format!("https://hooks.slack.com/{}/T0/B0/{}", "services", filler(24)),
                "https://hooks.slack.com/services/[redacted]",
            ),
            (
                "webhook_url",
                format!("https://discord.com/{}/12/{}", "api/webhooks", filler(24)),
                "https://discord.com/api/webhooks/[redacted]",
            ),
        ],
    );
}

#[test]
fn private_keys() {
    let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
    let body = "MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aumMzyo";
    let whole = format!("{begin}[redacted]{end} after");
    let encrypted = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AA\n";
    check(
        "default",
        &[
            ("private_key", format!("{begin}\n{body}\n{body}==\n{end} after"), &whole),
            ("private_key", format!("{begin}\\n{body}\\n{end} after"), &whole),
            ("private_key", format!("{begin}\n{encrypted}\n{body}\n{end} after"), &whole),
            ("private_key", format!("private_key: {begin}\n{body}\n{end} after"), &format!("private_key: {whole}")),
            ("private_key", format!("{begin}\n{body}\n{body}"), &format!("{begin}[redacted]")),
            ("private_key", format!("{begin}\\n{body}\\n{}\"}}", &body[..9]), &format!("{begin}[redacted]\"}}")),
            ("private_key", format!("{begin}\n{body}\n\nERROR: no"), &format!("{begin}[redacted]\n\nERROR: no")),
            (
                "private_key",
                format!("plain words\nINFO {body}\n  {body}\nAb=\n{end}"),
                &format!("plain words\nINFO [redacted]{end}"),
            ),
            ("private_key", format!("{body}\\n{body}\\n{end}"), &format!("[redacted]{end}")),
            (
                "key_value",
                format!("\"private_key\": \"{begin}\\n{body}\\n{end}\\n\""),
                "\"private_key\": \"[redacted]\"",
            ),
        ],
    );
    let lines: Vec<String> = [begin, body, body, end, "next"].map(s).to_vec();
    let mut counts = Counts::new();
    let redacted = redactor(None).lines(&lines, &mut counts);
    assert_eq!(redacted, [format!("{begin}[redacted]{end}"), s("next")]);
    assert_eq!(counts, Counts::from([("private_key", 1)]));
}

#[test]
fn token_formats() {
    let mut cases: Vec<(&str, String)> = vec![
        ("jwt", format!("eyJ{}.eyJ{}.{}", "hbGciOiJIUzI1NiJ9", filler(20), filler(20))),
        ("jwt", format!("eyJ{}", "hbGciOiJIUzI1NiIsInR5cCI6")),
        ("azure_client_secret", format!("abc8Q~{}", filler(34))),
        ("telegram_bot_token", format!("123456789:AA{}", filler(33))),
        ("firebase_token", format!("AAAAa1B2c3D:APA91b{}", filler(134))),
        ("discord_bot_token", format!("MTk4{}.{}.{}", filler(22), filler(6), filler(30))),
        ("mailchimp_api_key", format!("{}-us12", hex(32))),
        ("newrelic_key", format!("{}{}", hex(36), "NRAL")),
        ("terraform_token", format!("{}.atlasv1.{}", filler(14), filler(60))),
        ("tandem_token", format!("tim_intake_{}", hex(64))),
        ("tandem_token", format!("tandem_{}", hex(20))),
        ("sendgrid_key", format!("SG.{}.{}", filler(22), filler(43))),
        ("braintree_token", format!("access_token$production${}${}", filler(16), hex(32))),
    ];
    // Every row of the table with its own prefix.
    for format in formats::FORMATS {
        let body = match format.rule {
            "aws_access_key" => "A1B2C3D4E5F6G7H8".to_owned(),
            "alibaba_access_key" => filler(20),
            "twilio_key" | "mailgun_key" => hex(32),
            "crates_io_token" if format.prefix == "cio" => filler(32),
            _ => hex(64),
        };
        cases.push((format.rule, format!("{}{body}", format.prefix)));
    }
    for (rule, token) in cases {
        for (before, after) in
            [("", ""), ("using ", " failed"), ("(", ")"), ("\"", "\","), ("%3D", "&x=1"), ("x=", ".")]
        {
            let (output, counts) = run("default", &format!("{before}{token}{after}"));
            assert_eq!(output, format!("{before}[redacted]{after}"), "{rule} {token}");
            assert_eq!(counts, Counts::from([(rule, 1)]), "{token}");
        }
    }
}

#[test]
fn clean_text_is_borrowed() {
    let mut counts = Counts::new();
    assert!(matches!(redactor(None).text("token expired: retry", &mut counts), Cow::Borrowed(_)));
    assert!(matches!(redactor(None).text("token: [redacted]", &mut counts), Cow::Borrowed(_)));
}

#[test]
fn one_count_for_what_several_rules_find() {
    let jwt = format!("eyJ{}.{}.{}", "hbGciOiJIUzI1NiJ9", filler(20), filler(20));
    let (output, counts) = run("default", &format!("Authorization: Bearer {jwt}"));
    assert_eq!(output, "Authorization: Bearer [redacted]");
    assert_eq!(counts, Counts::from([("jwt", 1)]));
    let (output, counts) = run("default", "token=a token=b Cookie: x=y");
    assert_eq!(output, "token=[redacted] token=[redacted] Cookie: [redacted]");
    assert_eq!(counts, Counts::from([("cookie", 1), ("key_value", 2)]));
}

#[test]
fn strict_adds_to_default() {
    let random = "Zk3xQ9vT2mB7wL5rN8pD1cF6";
    check(
        "strict",
        &[
            ("key_value", s("password: hunter2"), "password: [redacted]"),
            ("email", s("mail jane.doe+x@mail.example.com now"), "mail [redacted] now"),
            ("ip_address", s("from 10.0.0.1:8080."), "from [redacted]:8080."),
            ("ip_address", s("peer 2001:db8::1 and fe80::1:2:3"), "peer [redacted] and [redacted]"),
            ("phone", s("call +49 30 1234567 or 555-123-4567"), "call [redacted] or [redacted]"),
            ("high_entropy", format!("value {random} end"), "value [redacted] end"),
        ],
    );
    for text in [
        "commit 5f8e416c7eaae8805f8e416c7eaae8805f8e416c id 0190b6f0-7c1e-7cc3-98c4-dc0c0c07398f",
        "at 127.0.0.1:80 and ::1, v1.2.3 at 12:34:56, std::fmt::Debug, 0.0.0.0",
        "2026-01-02T03:04:05+00:00 INFO",
        "com.acme.internal.AbstractSingletonProxyFactoryBean.getObject2",
        "@decorator user@host",
    ] {
        assert_eq!(run("strict", text).0, text);
    }
    assert_eq!(run("default", &format!("{random} a@b.example")).0, format!("{random} a@b.example"));
}

#[test]
fn json_keeps_its_shape() {
    let mut value = serde_json::json!({
        "title": "login failed: password=hunter2",
        "password": "hunter2",
        "db": {"clientSecret": "x", "port": 5432, "pool_key": "k"},
        "headers": [{"name": "Authorization", "value": "Bearer abc"}, {"name": "Accept", "value": "text/html"}],
        "credentials": {"user": "u", "n": 1},
        "usage": {"max_tokens": 4096, "tokens": {"prompt": 12}},
        "token": null, "has_token": true, "secret": "missing", "access_token": "[redacted]",
        "idempotency_key": "abc", "key": "v", "pin_password": 1234,
    });
    let mut counts = Counts::new();
    redactor(None).json(&mut value, &mut counts);
    let expected = serde_json::json!({
        "title": "login failed: password=[redacted]",
        "password": "[redacted]",
        "db": {"clientSecret": "[redacted]", "port": 5432, "pool_key": "[redacted]"},
        "headers": [{"name": "Authorization", "value": "[redacted]"}, {"name": "Accept", "value": "text/html"}],
        "credentials": "[redacted]",
        "usage": {"max_tokens": 4096, "tokens": {"prompt": 12}},
        "token": null, "has_token": true, "secret": "missing", "access_token": "[redacted]",
        "idempotency_key": "abc", "key": "v", "pin_password": "[redacted]",
    });
    assert_eq!(value, expected);
    assert_eq!(counts, Counts::from([("authorization", 1), ("key_value", 6)]));
    let before = counts.clone();
    redactor(None).json(&mut value, &mut counts);
    assert_eq!((value, counts), (expected, before));
}

#[test]
fn json_of_any_depth() {
    let mut value = serde_json::json!({"password": "hunter2", "note": "token=abc"});
    for _ in 0..2_000 {
        value = serde_json::Value::Array(vec![value]);
    }
    let mut counts = Counts::new();
    redactor(None).json(&mut value, &mut counts);
    assert_eq!(counts, Counts::from([("key_value", 2)]));
}

#[test]
fn profiles_by_name() {
    let strict = redactor(Some("strict"));
    assert!(std::ptr::eq(strict, redactor(Some(" PII "))));
    for label in [None, Some("default"), Some("local"), Some("incident_monitor_local_default"), Some("no such profile")]
    {
        assert!(std::ptr::eq(redactor(label), redactor(None)), "{label:?}");
        assert!(!std::ptr::eq(redactor(label), strict));
    }
}

#[test]
fn the_catalogue_names_every_rule_once() {
    let ids: Vec<&str> = rules().iter().map(|r| r.id).collect();
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len());
    for id in formats::FORMATS.iter().map(|f| f.rule) {
        assert!(unique.contains(id), "{id}");
    }
}
