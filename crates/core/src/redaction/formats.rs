//! Token formats that announce themselves by a prefix: one row each.
//!
//! A prefix is matched in its own case, at the start of a word, and the run after it must have the right length and
//! characters. Lengths are a little below what providers issue today, so a token that was cut is still found.

use super::scan::{FORMAT, Scan, Set, at, begins_word, without_dots};

pub(super) struct Format {
    pub rule: &'static str,
    pub prefix: &'static str,
    set: Set,
    min: usize,
    max: usize,
    /// Short runs need a digit, because the prefix also begins ordinary names.
    digit: bool,
}

/// From this length on, a run without a digit is no longer taken for a name.
const LONG: usize = 40;

const fn f(rule: &'static str, prefix: &'static str, set: Set, min: usize) -> Format {
    Format { rule, prefix, set, min, max: usize::MAX, digit: false }
}

const fn named(rule: &'static str, prefix: &'static str, set: Set, min: usize) -> Format {
    Format { rule, prefix, set, min, max: usize::MAX, digit: true }
}

const fn exact(rule: &'static str, prefix: &'static str, set: Set, len: usize) -> Format {
    Format { rule, prefix, set, min: len, max: len, digit: true }
}

use Set::{Alnum, Base64, Base64Url, Dollar, Dotted, Hex, Upper, Word};

pub(super) const FORMATS: &[Format] = &[
    // Our own.
    named("tandem_token", "tim_intake_", Alnum, 6),
    named("tandem_token", "tbm_intake_", Alnum, 6),
    named("tandem_token", "tandem_", Alnum, 20),
    // Clouds and infrastructure.
    exact("aws_access_key", "AKIA", Upper, 16),
    exact("aws_access_key", "ASIA", Upper, 16),
    exact("aws_access_key", "ABIA", Upper, 16),
    exact("aws_access_key", "ACCA", Upper, 16),
    f("gcp_api_key", "AIza", Base64Url, 30),
    f("google_oauth", "ya29.", Dotted, 16),
    f("google_oauth", "GOCSPX-", Base64Url, 16),
    named("google_oauth", "1//0", Base64Url, 30),
    exact("alibaba_access_key", "LTAI", Alnum, 20),
    f("digitalocean_token", "dop_v1_", Hex, 32),
    f("digitalocean_token", "doo_v1_", Hex, 32),
    f("digitalocean_token", "dor_v1_", Hex, 32),
    named("heroku_api_key", "HRKU-", Base64Url, 30),
    f("fly_token", "fm1r_", Base64, 40),
    f("fly_token", "fm2_", Base64, 40),
    f("netlify_token", "nfp_", Alnum, 30),
    f("supabase_key", "sbp_", Hex, 32),
    named("supabase_key", "sb_secret_", Base64Url, 16),
    f("planetscale_token", "pscale_tkn_", Dotted, 24),
    f("planetscale_token", "pscale_pw_", Dotted, 24),
    f("planetscale_token", "pscale_oauth_", Dotted, 24),
    f("databricks_token", "dapi", Hex, 32),
    f("vault_token", "hvs.", Base64Url, 20),
    f("vault_token", "hvb.", Base64Url, 20),
    f("vault_token", "hvr.", Base64Url, 20),
    named("doppler_token", "dp.pt.", Dotted, 20),
    named("doppler_token", "dp.st.", Dotted, 20),
    named("doppler_token", "dp.ct.", Dotted, 20),
    named("doppler_token", "dp.sa.", Dotted, 20),
    named("doppler_token", "dp.scim.", Dotted, 20),
    named("doppler_token", "dp.audit.", Dotted, 20),
    f("pulumi_token", "pul-", Hex, 40),
    f("tailscale_key", "tskey-", Base64Url, 16),
    f("age_secret_key", "AGE-SECRET-KEY-1", Alnum, 40),
    f("age_secret_key", "age-secret-key-1", Alnum, 40),
    // Code hosts, registries, CI.
    f("github_token", "ghp_", Word, 20),
    f("github_token", "gho_", Word, 20),
    f("github_token", "ghu_", Word, 20),
    f("github_token", "ghs_", Word, 20),
    f("github_token", "ghr_", Word, 20),
    named("github_token", "github_pat_", Word, 10),
    named("gitlab_token", "glpat-", Dotted, 16),
    named("gitlab_token", "gldt-", Dotted, 16),
    named("gitlab_token", "glrt-", Dotted, 16),
    named("gitlab_token", "glrtr-", Dotted, 16),
    named("gitlab_token", "glptt-", Dotted, 16),
    named("gitlab_token", "glcbt-", Dotted, 16),
    named("gitlab_token", "glimt-", Dotted, 16),
    named("gitlab_token", "glagent-", Dotted, 16),
    named("gitlab_token", "glft-", Dotted, 16),
    named("gitlab_token", "glsoat-", Dotted, 16),
    named("gitlab_token", "glffct-", Dotted, 16),
    named("gitlab_token", "gloas-", Dotted, 16),
    named("gitlab_token", "GR1348941", Base64Url, 16),
    named("atlassian_token", "ATBB", Alnum, 24),
    f("atlassian_token", "ATATT3", Base64, 24),
    f("atlassian_token", "ATCTT3", Base64, 24),
    f("npm_token", "npm_", Alnum, 30),
    f("pypi_token", "pypi-AgE", Base64Url, 24),
    exact("crates_io_token", "cio", Alnum, 32),
    f("crates_io_token", "crates-io_", Alnum, 24),
    f("rubygems_token", "rubygems_", Hex, 40),
    named("docker_token", "dckr_pat_", Base64Url, 16),
    named("docker_token", "dckr_oat_", Base64Url, 16),
    f("circleci_token", "CCIPAT_", Word, 24),
    f("circleci_token", "CCIPRJ_", Word, 24),
    f("buildkite_token", "bkua_", Hex, 32),
    f("sonar_token", "sqp_", Hex, 32),
    f("sonar_token", "squ_", Hex, 32),
    f("sonar_token", "sqa_", Hex, 32),
    // Chat and work.
    named("slack_token", "xoxa-", Base64Url, 10),
    named("slack_token", "xoxb-", Base64Url, 10),
    named("slack_token", "xoxe-", Base64Url, 10),
    named("slack_token", "xoxe.xox", Dotted, 10),
    named("slack_token", "xoxo-", Base64Url, 10),
    named("slack_token", "xoxp-", Base64Url, 10),
    named("slack_token", "xoxr-", Base64Url, 10),
    named("slack_token", "xoxs-", Base64Url, 10),
    named("slack_token", "xoxc-", Base64Url, 10),
    named("slack_token", "xoxd-", Base64, 10),
    named("slack_token", "xapp-", Base64Url, 16),
    named("linear_token", "lin_api_", Alnum, 16),
    named("linear_token", "lin_oauth_", Alnum, 16),
    named("notion_token", "secret_", Alnum, 40),
    named("notion_token", "ntn_", Alnum, 36),
    named("figma_token", "figd_", Base64Url, 30),
    f("postman_key", "PMAK-", Base64Url, 40),
    f("shopify_token", "shpat_", Hex, 24),
    f("shopify_token", "shpca_", Hex, 24),
    f("shopify_token", "shppa_", Hex, 24),
    f("shopify_token", "shpss_", Hex, 24),
    f("shopify_token", "shpua_", Hex, 24),
    f("shopify_token", "shptka_", Hex, 24),
    // Payment and mail.
    f("stripe_key", "sk_live_", Word, 10),
    f("stripe_key", "sk_test_", Word, 10),
    f("stripe_key", "rk_live_", Word, 10),
    f("stripe_key", "rk_test_", Word, 10),
    f("stripe_key", "whsec_", Base64, 16),
    f("square_token", "sq0atp-", Base64Url, 20),
    f("square_token", "sq0csp-", Base64Url, 20),
    named("square_token", "EAAA", Base64Url, 50),
    f("braintree_token", "access_token$production$", Dollar, 32),
    f("braintree_token", "access_token$sandbox$", Dollar, 32),
    exact("twilio_key", "SK", Hex, 32),
    f("sendgrid_key", "SG.", Dotted, 36),
    exact("mailgun_key", "key-", Hex, 32),
    f("brevo_key", "xkeysib-", Base64Url, 40),
    f("brevo_key", "xsmtpsib-", Base64Url, 40),
    // Model providers.
    named("anthropic_key", "sk-ant-", Base64Url, 8),
    named("openai_key", "sk-proj-", Base64Url, 8),
    named("openai_key", "sk-svcacct-", Base64Url, 8),
    named("openai_key", "sk-admin-", Base64Url, 8),
    named("openrouter_key", "sk-or-v1-", Base64Url, 8),
    named("openai_key", "sk-", Base64Url, 16),
    f("elevenlabs_key", "sk_", Hex, 40),
    f("huggingface_token", "hf_", Alnum, 28),
    f("huggingface_token", "api_org_", Alnum, 28),
    f("replicate_token", "r8_", Alnum, 30),
    f("groq_key", "gsk_", Alnum, 32),
    f("xai_key", "xai-", Base64Url, 32),
    f("perplexity_key", "pplx-", Alnum, 32),
    f("nvidia_key", "nvapi-", Base64Url, 32),
    f("cerebras_key", "csk-", Alnum, 32),
    f("langsmith_key", "lsv2_pt_", Word, 24),
    f("langsmith_key", "lsv2_sk_", Word, 24),
    // Watching and logs.
    named("newrelic_key", "NRAK-", Alnum, 20),
    named("newrelic_key", "NRII-", Base64Url, 20),
    named("newrelic_key", "NRRA-", Alnum, 20),
    f("sentry_token", "sntrys_", Base64, 24),
    f("sentry_token", "sntryu_", Hex, 32),
    named("datadog_token", "ddpat_", Base64Url, 24),
    f("grafana_token", "glsa_", Word, 24),
    f("grafana_token", "glc_eyJ", Base64, 16),
    f("dynatrace_token", "dt0c01.", Dotted, 40),
];

pub(super) fn find(scan: &mut Scan<'_>, start: usize, format: &Format) {
    let b = scan.bytes;
    let body = start + format.prefix.len();
    if b.get(start..body) != Some(format.prefix.as_bytes()) || !begins_word(b, start) || !format.set.has(at(b, body)) {
        return;
    }
    // `cache-key-<digest>` and `a-task.sk-…` are names.
    if matches!(format.prefix, "key-" | "sk-" | "SK" | "cio") && start > 0 && matches!(b[start - 1], b'-' | b'_' | b'.')
    {
        return;
    }
    let end = without_dots(b, scan.run_end(body, format.set)).max(body);
    let run = &b[body..end];
    let cut_short = at(b, end).is_ascii_alphanumeric() || (format.max < usize::MAX && at(b, end) == b'_');
    if run.len() < format.min || run.len() > format.max || cut_short {
        return;
    }
    if format.digit && run.len() < LONG && !run.iter().any(u8::is_ascii_digit) {
        return;
    }
    // Of two prefixes the longer one says more: `sk-or-v1-` is also `sk-`.
    scan.mark(start, end, format.rule, FORMAT - format.prefix.len().min(100) as u8);
}

/// What a rule of the table finds, for the catalogue.
pub(super) fn describe(rule: &'static str) -> &'static str {
    match rule {
        "tandem_token" => "An API token or intake key of Tandem",
        "aws_access_key" => "An AWS access key id",
        "gcp_api_key" => "A Google API key",
        "google_oauth" => "A Google OAuth token or client secret",
        "github_token" => "A GitHub token",
        "gitlab_token" => "A GitLab token",
        "atlassian_token" => "An Atlassian or Bitbucket token",
        "slack_token" => "A Slack token",
        "stripe_key" => "A Stripe key or webhook secret",
        "openai_key" => "An OpenAI key, or another provider's of the same shape",
        "anthropic_key" => "An Anthropic key",
        _ => "A token of the provider that the id names",
    }
}
