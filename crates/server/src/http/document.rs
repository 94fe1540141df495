//! The API document. Handlers describe what is theirs; what every route shares is added here: the credentials, the error
//! envelope, and the refusals that the layers and extractors can give. So a handler's own list names only its own codes.

use serde::Serialize;
use tandem_core::error::Code;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, Deprecated, InfoBuilder, License, OpenApi, PathItem, Ref, RefOr, Required, Response,
        Schema,
        path::{Operation, ParameterIn},
        response::ResponseBuilder,
        schema::{ObjectBuilder, SchemaType, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag,
    },
};

use super::{alias, config::FormerConfigAnswer, gate, glossary};

/// Every refusal of this server.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what Failure renders")]
pub struct ErrorBody {
    /// For people. Texts may change.
    pub error: String,
    /// For programs. Codes do not change.
    #[schema(schema_with = code_schema)]
    pub code: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Finds the request in the server's log and audit log.
    pub request_id: String,
    /// What exactly was wrong, where there is more to say.
    pub detail: Option<String>,
}

/// Every code with its meaning.
fn code_schema() -> Schema {
    let mut words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    words.sort_unstable();
    words.dedup();
    let mut meanings: Vec<String> =
        Code::ALL.iter().map(|code| format!("- `{}` ({}): {}", code.word(), code.status(), code.meaning())).collect();
    meanings.sort_unstable();
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .enum_values(Some(words))
        .description(Some(meanings.join("\n")))
        .build()
        .into()
}

const DESCRIPTION: &str = "\
A report becomes an incident, a draft, an approved publish, a receipt and a verifiable audit log.\n\n\
Full tokens are read from `x-agent-token`, `x-tandem-token` or `Authorization: Bearer`, in this order; the first that is \
not empty decides. Scoped intake keys open `POST /incident-monitor/intake/report` and nothing else.\n\n\
Every answer carries `x-request-id`; one that the caller sends (1 to 64 characters of `A-Za-z0-9._-`) is kept.\n\n\
Every `/incident-monitor/…` path also answers under `/bug-monitor/…`, its name before the rename.";

/// What the operations under each tag are about.
const TAGS: [(&str, &str); 19] = [
    ("intake", "Failures that come in, and the scoped keys of those who may report them."),
    ("incidents", "Failures as they were grouped, however often they were seen."),
    ("drafts", "What would be published: review, approval, denial, preview and publishing."),
    ("triage", "What was found out about a failure, and what agents add to it."),
    ("posts", "Deliveries to destinations with their receipts."),
    ("logs", "Log sources: their state, resetting and replaying them."),
    ("config", "Destinations, routes, projects and defaults of the incident monitor."),
    ("status", "Whether reports can become publishes, and what is missing where they cannot."),
    ("mcp", "Servers whose tools are called, and this server as one whose tools agents call."),
    ("governance", "Agents, limits, grants, approvals, reviews and what was decided on them."),
    ("automations", "Automations, and what they may do."),
    ("runs", "Runs of automations."),
    ("executors", "What programs call that carry out runs."),
    ("assessment", "Authority inventory, posture, probes, reports, deployment cards, reassessment."),
    ("evidence", "What stays of runs and assessments."),
    ("audit", "The audit log: rows, proofs, checkpoints, exports, retention."),
    ("auth", "Full tokens."),
    ("server", "Health, metrics and this document."),
    ("not offered", "Calls of the published clients that this server refuses with 501."),
];

/// Adds what all routes share.
pub fn finish(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Tandem")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(License::new("MIT OR Apache-2.0")))
        .build();
    document.tags =
        Some(TAGS.map(|(name, about)| tag::TagBuilder::new().name(name).description(Some(about)).build()).to_vec());
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert("ErrorBody".into(), ErrorBody::schema());
    components.schemas.insert("FormerConfigAnswer".into(), FormerConfigAnswer::schema());
    glossary::describe(components);
    for (name, scheme) in schemes() {
        components.security_schemes.insert(name.into(), RefOr::T(scheme));
    }
    let mut former = Vec::new();
    for (path, item) in &mut document.paths.paths {
        let old = alias::former(path);
        let mut old_item = PathItem::default();
        for (method, operation) in operations(item) {
            complete(path, operation);
            operation.operation_id = Some(operation_id(method, path));
            if old.is_some() {
                let mut operation = operation.clone();
                operation.deprecated = Some(Deprecated::True);
                operation.operation_id = old.as_deref().map(|old| operation_id(method, old));
                set(&mut old_item, method, operation);
            }
        }
        if let Some(old) = old {
            former.push((old, renamed(old_item)));
        }
    }
    document.paths.paths.extend(former);
    document
}

/// The one body that is named after the product has its former name on the former path.
fn renamed(item: PathItem) -> PathItem {
    let reference = |name: &str| format!("\"#/components/schemas/{name}\"");
    let text = serde_json::to_string(&item).unwrap_or_default();
    let text = text.replace(&reference("ConfigAnswer"), &reference("FormerConfigAnswer"));
    serde_json::from_str(&text).unwrap_or(item)
}

pub fn pretty(document: &OpenApi) -> String {
    // The document is made of maps with string keys, which always serialise.
    document.to_pretty_json().unwrap_or_default()
}

fn schemes() -> Vec<(&'static str, SecurityScheme)> {
    let bearer = |about: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build())
    };
    let header =
        |name: &str, about: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)));
    vec![
        ("bearer", bearer("A full token.")),
        ("agentToken", header("x-agent-token", "A full token; wins over the other carriers.")),
        ("tandemToken", header("x-tandem-token", "A full token; wins over the bearer.")),
        ("intakeKey", header("x-tandem-incident-monitor-intake-key", "A scoped intake key; reports for one project.")),
        ("intakeBearer", bearer("A scoped intake key.")),
    ]
}

/// A method as the document spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Get,
    Put,
    Post,
    Delete,
    Patch,
}

/// The operations of a path. Only methods that this server uses.
pub fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    [
        (Method::Get, item.get.as_mut()),
        (Method::Put, item.put.as_mut()),
        (Method::Post, item.post.as_mut()),
        (Method::Delete, item.delete.as_mut()),
        (Method::Patch, item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
    .collect()
}

fn set(item: &mut PathItem, method: Method, operation: Operation) {
    let slot = match method {
        Method::Get => &mut item.get,
        Method::Put => &mut item.put,
        Method::Post => &mut item.post,
        Method::Delete => &mut item.delete,
        Method::Patch => &mut item.patch,
    };
    *slot = Some(operation);
}

/// Unique by construction; names of handlers are not.
fn operation_id(method: Method, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let verb = match method {
        Method::Get => "get",
        Method::Put => "put",
        Method::Post => "post",
        Method::Delete => "delete",
        Method::Patch => "patch",
    };
    std::iter::once(verb).chain(words).collect::<Vec<_>>().join("_")
}

/// Credentials and shared refusals of one operation, beside what the handler listed itself.
fn complete(path: &str, operation: &mut Operation) {
    let need = |name: &str| SecurityRequirement::new::<_, [&str; 0], &str>(name, []);
    let public = matches!(path, "/global/health" | "/openapi.json" | "/mcp/oauth/callback");
    let body = operation.request_body.is_some();
    let (identified, asked) =
        (takes(operation, &[ParameterIn::Path]), takes(operation, &[ParameterIn::Query, ParameterIn::Header]));
    let unknown = identified && !operation.responses.responses.contains_key("404");
    let mut add = |status: &str, about: &str| {
        let response = operation.responses.responses.entry(status.to_owned());
        let RefOr::T(response) = response.or_insert_with(|| RefOr::T(refusal(""))) else { return };
        if !response.description.is_empty() {
            response.description.push_str("\n\n");
        }
        response.description.push_str(about);
    };
    if !public {
        add(
            "401",
            "`AUTH_REQUIRED`: no full token, or a wrong one. On the intake path: no intake key, or a wrong one.",
        );
        add("429", "`RATE_LIMITED`: see `Retry-After`.");
    }
    add("500", "`INTERNAL` or `STORE_CORRUPT`: a fault of the server.");
    add("503", "`ENGINE_STARTING` or `STORE_UNAVAILABLE`: try again.");
    if unknown {
        add("404", "No such object.");
    }
    let unreadable = match (body, asked) {
        (true, _) => Some("the body is not JSON or nested too deeply, or a parameter or a header cannot be read."),
        (false, true) => Some("a parameter or a header cannot be read."),
        (false, false) if public => None,
        (false, false) => Some("a header cannot be read."),
    };
    if let Some(what) = unreadable {
        add("400", &format!("`VALIDATION_FAILED`: {what}"));
    }
    if body {
        add("408", "`VALIDATION_FAILED`: the body did not arrive in time.");
        add("415", "`VALIDATION_FAILED`: the body is not declared as JSON.");
        add("422", "`VALIDATION_FAILED`: the body has the wrong shape; `field` says where.");
    }
    add("413", "`VALIDATION_FAILED`: the body is too large.");
    if !public {
        add("403", "`AUTOMATION_V2_AGENT_ID_REQUIRED`: the request says it comes from an agent but names none.");
    }
    for response in operation.responses.responses.values_mut() {
        // OpenAPI 3.1 demands a description; handlers give one where there is something to say.
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description.push_str("Done.");
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.description.is_none()
        {
            parameter.description = glossary::meaning(&parameter.name).map(str::to_owned);
        }
    }
    operation.security = Some(match path {
        _ if public => Vec::new(),
        gate::INTAKE_PATH => vec![need("intakeKey"), need("intakeBearer")],
        _ => vec![need("bearer"), need("agentToken"), need("tandemToken")],
    });
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required.get_or_insert(Required::True);
    }
}

/// Whether the operation has a parameter in one of these places.
fn takes(operation: &Operation, places: &[ParameterIn]) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => places.contains(&parameter.parameter_in),
        RefOr::Ref(_) => false,
    })
}

fn refusal(about: &str) -> Response {
    ResponseBuilder::new()
        .description(about)
        .content("application/json", Content::builder().schema(Some(Ref::from_schema_name("ErrorBody"))).build())
        .build()
}
