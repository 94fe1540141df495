//! The rules of a configuration. Everything that is wrong is named at once; nothing is looked up outside.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Config, Project, path};
use crate::{
    destination, risk,
    signal::accept::valid_repo,
    source::{Scope, pattern::Pattern},
    wire::wire_enum,
};

wire_enum! {
    /// The rule that a field breaks.
    pub enum Rule {
        Blank = "blank",
        Duplicate = "duplicate",
        Malformed = "malformed",
        RepoInvalid = "repo_invalid",
        PathNotAbsolute = "path_not_absolute",
        PathOutsideWorkspace = "path_outside_workspace",
        ServerUnknown = "mcp_server_unknown",
        DestinationUnknown = "destination_unknown",
        DestinationNotAllowed = "destination_not_allowed",
        ModelPolicyIncomplete = "model_policy_incomplete",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As in `monitored_projects[0].log_sources[1].path`.
    pub path: String,
    pub code: Rule,
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Tidies the configuration and checks it. `known_servers` are the registered MCP servers; `None` skips that check.
pub fn validate(config: &mut Config, known_servers: Option<&[String]>) -> Result<(), Vec<Violation>> {
    super::tidy::tidy(config);
    let mut check = Check { config, known_servers, found: Vec::new() };
    check.top();
    check.destinations();
    check.routes();
    check.projects();
    if check.found.is_empty() { Ok(()) } else { Err(check.found) }
}

struct Check<'a> {
    config: &'a Config,
    known_servers: Option<&'a [String]>,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn fail(&mut self, path: impl Into<String>, code: Rule, message: impl Into<String>) {
        self.found.push(Violation { path: path.into(), code, message: message.into() });
    }

    fn top(&mut self) {
        let config = self.config;
        if let Some(repo) = &config.repo
            && !valid_repo(repo)
        {
            self.fail("repo", Rule::RepoInvalid, "must be owner/repo");
        }
        self.server("mcp_server", config.mcp_server.as_deref());
        self.model_policy("model_policy", config.model_policy.as_ref());
        if let Some(level) = &config.safety_defaults.minimum_risk_level
            && risk::rank(level) == 0
        {
            // An unknown word would silently be no floor at all.
            self.fail("safety_defaults.minimum_risk_level", Rule::Malformed, "must be a risk level such as `high`");
        }
        self.known_ids("default_destination_ids", &config.default_destination_ids);
    }

    fn destinations(&mut self) {
        let ids = self.config.destinations.iter().map(|destination| destination.destination_id.as_str());
        self.unique("destinations", "destination_id", ids.collect());
    }

    fn routes(&mut self) {
        let config = self.config;
        self.unique("routes", "route_id", config.routes.iter().map(|route| route.route_id.as_str()).collect());
        for (i, route) in config.routes.iter().enumerate() {
            self.known_ids(&format!("routes[{i}].destination_ids"), &route.destination_ids);
        }
    }

    fn projects(&mut self) {
        let config = self.config;
        let ids = config.monitored_projects.iter().map(|project| project.project_id.as_str());
        self.unique("monitored_projects", "project_id", ids.collect());
        for (i, project) in config.monitored_projects.iter().enumerate() {
            self.project(&format!("monitored_projects[{i}]"), project);
        }
    }

    fn project(&mut self, at: &str, project: &Project) {
        self.slug(format!("{at}.project_id"), &project.project_id);
        if project.name.is_empty() {
            self.fail(format!("{at}.name"), Rule::Blank, "must not be blank");
        }
        if !valid_repo(&project.repo) {
            self.fail(format!("{at}.repo"), Rule::RepoInvalid, "must be owner/repo");
        }
        if !path::absolute(&project.workspace_root) {
            self.fail(format!("{at}.workspace_root"), Rule::PathNotAbsolute, "must be an absolute path");
        }
        self.server(&format!("{at}.mcp_server"), project.mcp_server.as_deref());
        self.model_policy(&format!("{at}.model_policy"), project.model_policy.as_ref());
        self.known_ids(&format!("{at}.allowed_destination_ids"), &project.allowed_destination_ids);
        self.known_ids(&format!("{at}.default_destination_ids"), &project.default_destination_ids);
        self.admitted(at, Scope { project, source: None });
        let ids = project.log_sources.iter().map(|source| source.source_id.as_str());
        self.unique(&format!("{at}.log_sources"), "source_id", ids.collect());
        for (i, source) in project.log_sources.iter().enumerate() {
            let at = format!("{at}.log_sources[{i}]");
            self.slug(format!("{at}.source_id"), &source.source_id);
            if source.path.is_empty() {
                self.fail(format!("{at}.path"), Rule::Blank, "must not be blank");
            } else if path::absolute(&project.workspace_root) && !path::inside(&project.workspace_root, &source.path) {
                self.fail(format!("{at}.path"), Rule::PathOutsideWorkspace, "must be a file inside workspace_root");
            } else if let Err(error) = Pattern::new(&project.workspace_root, &source.path) {
                self.fail(format!("{at}.path"), Rule::Malformed, format!("the path {}", error.0));
            }
            self.known_ids(&format!("{at}.allowed_destination_ids"), &source.allowed_destination_ids);
            self.known_ids(&format!("{at}.default_destination_ids"), &source.default_destination_ids);
            self.admitted(&at, Scope { project, source: Some(source) });
        }
    }

    /// Ids are not blank and occur once.
    fn unique(&mut self, list: &str, field: &str, ids: Vec<&str>) {
        let mut seen: HashSet<&str> = HashSet::with_capacity(ids.len());
        for (i, id) in ids.into_iter().enumerate() {
            if id.is_empty() {
                self.fail(format!("{list}[{i}].{field}"), Rule::Blank, "must not be blank");
            } else if !seen.insert(id) {
                self.fail(format!("{list}[{i}].{field}"), Rule::Duplicate, format!("`{id}` occurs more than once"));
            }
        }
    }

    /// Ids name effective destinations. The implied one exists only while none is configured.
    fn known_ids(&mut self, path: &str, ids: &[String]) {
        for (i, id) in ids.iter().enumerate() {
            if !destination::exists(self.config, id) {
                let message = format!("destination `{id}` does not exist");
                self.fail(format!("{path}[{i}]"), Rule::DestinationUnknown, message);
            }
        }
    }

    /// What is published to by default is inside what is allowed.
    fn admitted(&mut self, at: &str, scope: Scope<'_>) {
        for id in scope.default_destination_ids() {
            if !scope.admits(id) {
                self.fail(
                    format!("{at}.default_destination_ids"),
                    Rule::DestinationNotAllowed,
                    format!("destination `{id}` is not among the allowed destinations"),
                );
            }
        }
    }

    fn slug(&mut self, path: String, id: &str) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        // A blank id was named already.
        if !id.is_empty() && !id.bytes().all(plain) {
            self.fail(path, Rule::Malformed, "may hold letters, digits, `.`, `_` and `-`");
        }
    }

    fn server(&mut self, path: &str, name: Option<&str>) {
        let Some(name) = name else { return };
        let known = !name.is_empty() && self.known_servers.is_none_or(|known| known.iter().any(|k| k == name));
        if !known {
            self.fail(path, Rule::ServerUnknown, format!("MCP server `{name}` is not registered"));
        }
    }

    fn model_policy(&mut self, path: &str, policy: Option<&Map<String, Value>>) {
        let Some(policy) = policy else { return };
        if let Some(model) = policy.get("default_model").filter(|model| !model.is_null()) {
            self.model(format!("{path}.default_model"), model);
        }
        match policy.get("role_models") {
            None | Some(Value::Null) => {}
            Some(Value::Object(roles)) => {
                for (role, model) in roles {
                    self.model(format!("{path}.role_models.{role}"), model);
                }
            }
            Some(_) => self.fail(format!("{path}.role_models"), Rule::ModelPolicyIncomplete, "must be an object"),
        }
    }

    fn model(&mut self, path: String, model: &Value) {
        let named = |key: &str| model.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        if !(named("provider_id") && named("model_id")) {
            self.fail(path, Rule::ModelPolicyIncomplete, "needs provider_id and model_id");
        }
    }
}

#[cfg(test)]
mod tests;
