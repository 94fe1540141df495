//! What looks like a secret and is none.

use super::run;

#[test]
fn stays_readable() {
    let texts = [
        "commit 5f8e416c7eaae8805f8e416c7eaae8805f8e416c",
        "id 0190b6f0-7c1e-7cc3-98c4-dc0c0c07398f",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "integrity sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
        "token count: 5",
        "max_tokens: 4096 tokens=12 prompt_tokens: 128000, total_tokens=12,345 budget_tokens=12k",
        "token_type=bearer expires_in=3600",
        "password_reset=true has_password=yes",
        "password is incorrect",
        "secret: missing, token: null, password: false, credential: not found, authorization: denied",
        "password: must not be empty",
        "\"password\": [\"is too short\"], \"token\": \"is required\"",
        "token: 5 secret=0",
        "author: jane authority=x authorized: true",
        "authentication failed: timeout",
        "authorization failed for user bob",
        "key: value keys: a monkey=banana sort_key=created public_key=abc",
        "Unexpected token < in JSON at position 0",
        "SyntaxError: Unexpected token: '<'",
        "SyntaxError: Unexpected token: punc (})",
        "curl -u ci https://x/a:b && curl --user-agent shop:2 https://x && sort -u a:b",
        "InvalidToken: Not enough segments",
        "jwt.exceptions.ExpiredTokenError: Signature has expired",
        "    at Token.parse (/app/src/token.js:12:5)",
        "    at com.acme.auth.TokenService.refresh(TokenService.java:42)",
        "  File \"/srv/app/secrets.py\", line 10, in get_token",
        "    token = get_token()",
        "    password = self.config.password",
        "    token = os.environ[\"API_TOKEN\"]",
        "    secret = os.getenv(\"CLIENT_SECRET\")",
        "thread 'main' panicked at src/password.rs:45:12:",
        "secret::Value and token::Error",
        "PASS: test_login --- PASS: TestToken pass: 12 fail: 3",
        "PWD=/home/jane/app pwd: /srv",
        "password=${DB_PASSWORD} token=$TOKEN secret={{ .Values.secret }} key={key} password: <your password>",
        "password=*** token: [redacted] secret=xxxx api_key=<redacted> password: ••••••",
        "password: env:DB_PASSWORD",
        "fn login(password: String, token: &str)",
        "ssh://git@github.com/o/r.git git@github.com:o/r.git",
        "http://localhost:39731/global/health http://[::1]:80/ https://example.com/@user/post:1",
        "https://example.com/?page=2&sort=asc#code=1",
        "/cb?code=404",
        "Bearer token missing; WWW-Authenticate: Bearer realm=\"api\", error=\"invalid_token\"",
        "Basic authentication is off, basic checks passed",
        "cookies: 3 cookie: missing",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
        "npm_config_registry tandem_core::redaction tim_intake_keys sk-learn task-sk-foo cio hf_hub",
        "cache-key-d41d8cd98f00b204e9800998ecf8427e disk-usage-us-east-1",
        "HTTP 404 from 10.0.0.1:8080 to bob@example.com",
        "session_id=abc run_id: r1 correlation_id=c-1",
        "tandem://incident-monitor/p/logs/s#offset=0-100",
        "secret_ref=env:NAME private_key_id=abc token_url=https://x.example/t",
        "/run/secrets: permission denied",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf",
        "if token == expected_token {",
        "let password = read_password()?;",
        "fetch(url, { credentials: 'same-origin' })",
        "KeyError: 'token': not set; missing field `password` at line 3",
        "authorization_marker: approved tool_name: token_counter action: read_secret",
        "2026-01-02T03:04:05Z ERROR [auth] refresh token expired after 3600 s",
        "ünïcödé “token” … 🦀",
        "",
    ];
    let wrong: Vec<String> = texts
        .iter()
        .filter_map(|text| {
            let (output, counts) = run("default", text);
            (output != *text || !counts.is_empty()).then(|| format!("{text}\n  became {output} {counts:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
