//! The assessment report: loaded, judged, kept with its audit row in one commit, and read again later.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    audit::{bundle, dsse},
    error::{Code, Failure},
    incident::Incident,
    ports::{AuditQuery, Query},
    receipt::Post,
    record::{Commit, Record},
    route::{self, PreviewInput, RoutePreview},
    source::SourceKind,
    text::sha256_hex,
};
use tandem_posture::{
    estate::Estate,
    evidence::{EvidenceArtifact, EvidencePack, Names, RunType, pack},
    inventory::inventory,
    metrics,
    posture::{self, Options},
    probes,
    report::{
        AuditLedger, HISTORY, IncidentRow, Material, PREDICATE_TYPE, RECORDS, ReceiptRow, RecordRow, Report, Request,
        build, predicate,
    },
    scenarios::{DEFAULT_PACK, built_in, evaluate},
};

use super::{Turn, probes::probe_options, rows::row_fact, viewer};
use crate::{App, load::parse, store_failure};

/// Audit rows that are looked through for one report.
const LOOKED_THROUGH: usize = 5_000;
const PAGE: usize = 1_000;
const GENERATED: &str = "incident_monitor.assessment_report.generated";

impl App {
    pub async fn assessment_report(&self, turn: &Turn, ctx: &OpContext, request: &Request) -> Result<Report, Failure> {
        let options = Options {
            min_severity: posture::severity(request.min_severity.as_deref())?
                .unwrap_or_else(|| Options::default().min_severity),
            ..Options::default()
        };
        if request.from_ms.zip(request.to_ms).is_some_and(|(from, to)| from > to) {
            return Err(invalid("`from_ms` lies after `to_ms`."));
        }
        let include_probes = request.include_probe_results.unwrap_or(true);
        let wanted = probes::Request {
            mode: (!include_probes).then(|| "disabled".into()),
            probes: request.probes.clone(),
            include_draft_suggestions: Some(request.include_draft_suggestions.unwrap_or_default()),
        };
        let probe_options = probe_options(&wanted)?;
        let settings = metrics::settings(&metrics_request(request, ctx.now_ms), ctx.now_ms)?;

        let estate = self.estate(turn, ctx).await?;
        let inventory = inventory(&estate, &viewer(ctx));
        let mut posture = posture::check(&estate, &inventory, &options);
        let pack = built_in().into_iter().find(|pack| pack.pack_id == DEFAULT_PACK).unwrap_or_default();
        let scenarios = evaluate(&estate, &pack, &[]);
        self.with_lifecycles(turn, ctx, &mut posture).await?;
        let probes = self.probe(&estate, &inventory, &probe_options).await;
        let maturity = self.maturity(turn, ctx, &estate, &inventory, &settings).await?;
        let incidents: Vec<Incident> = self.newest(ctx, request, |row: &Incident| row.updated_at_ms).await?;
        let receipts: Vec<Post> = self.newest(ctx, request, |row: &Post| row.updated_at_ms).await?;
        let (records, next_cursor) = self.records(ctx, request).await?;
        let ledger = self.ledger_head(ctx, &estate).await?;
        let report = build(Material {
            request,
            preview: &export_preview(&estate, request),
            estate: &estate,
            inventory: &inventory,
            posture: &posture,
            probes: &probes,
            include_probes,
            scenarios: &scenarios,
            maturity: &maturity,
            incidents: incidents.iter().map(IncidentRow::of).collect(),
            receipts: receipts.iter().map(ReceiptRow::of).collect(),
            records,
            next_cursor,
            ledger,
        });
        self.keep_report(ctx, request, report).await
    }

    /// Writes the audit row and, unless the caller does not want it, the artifact.
    async fn keep_report(&self, ctx: &OpContext, request: &Request, mut report: Report) -> Result<Report, Failure> {
        let mut commit = Commit::new(ctx);
        if request.persist_artifact.unwrap_or(true) {
            let (run, artifact) = (self.ports.ids.uuid(), self.ports.ids.uuid());
            let names = Names::new(RunType::Report, ctx.now_ms, &run.replace('-', ""), &artifact.replace('-', ""));
            let body = report.body();
            let digest = sha256_hex(&body);
            let statement = dsse::statement(&names.path(), &digest, PREDICATE_TYPE, predicate(&report, &names.run_id));
            let attestation = dsse::seal(self.signer().await?, dsse::IN_TOTO, &statement);
            let (puts, kept) = pack(ctx, &names, body, Some(attestation.clone()));
            commit = puts.into_iter().fold(commit, Commit::put);
            report.evidence_pack = Some(kept);
            report.attestation = Some(attestation);
        } else {
            report.evidence_pack = Some(EvidencePack::none("persist_artifact is false"));
        }
        let payload = json!({
            "source_kind": SourceKind::TandemMonitor.label(),
            "schema_version": report.schema_version,
            "generated_at_ms": report.generated_at_ms,
            "counts": report.counts,
            "evidence_pack": report.evidence_pack,
            "rule_set_digest": report.rule_set_digest,
            "route_destination_ids": request.route_destination_ids,
            "raw_payloads_included": false,
        });
        self.store().commit(commit.audit(self.event_id(), GENERATED, payload)).await.map_err(store_failure)?;
        Ok(report)
    }

    /// A report that was kept, with what is only known of it since.
    pub async fn kept_report(&self, _: &Turn, ctx: &OpContext, artifact_id: &str) -> Result<Report, Failure> {
        let missing = || Failure::of(Code::EvidenceArtifactNotFound).with("artifact_id", artifact_id);
        let found = self.find_visible::<EvidenceArtifact>(ctx, artifact_id).await?;
        let (_, artifact) = found
            .filter(|(_, artifact)| artifact.artifact_type == RunType::Report.artifact_type())
            .ok_or_else(missing)?;
        if artifact.intact() == Some(false) {
            // What is not what was signed is not shown as if it were.
            let why = "the stored bytes do not have the digest that was recorded with them";
            return Err(Failure::of(Code::EvidenceTampered).with("artifact_id", artifact_id).with("detail", why));
        }
        let Some(body) = &artifact.body else {
            let failure = missing().with("content_sha256", artifact.content_sha256.as_str());
            return Err(failure.with("detail", "retention dropped the body"));
        };
        let mut report: Report =
            serde_json::from_str(body).map_err(|error| Failure::new(Code::StoreCorrupt, error.to_string()))?;
        report.evidence_pack = Some(EvidencePack {
            persisted: true,
            kind: Some("context_run_artifact".into()),
            reason: None,
            context_run_id: Some(artifact.run_id),
            artifact_id: Some(artifact.artifact_id),
            artifact_type: Some(artifact.artifact_type),
            path: Some(artifact.path),
            content_sha256: Some(artifact.content_sha256),
            content_bytes: Some(artifact.content_bytes),
        });
        report.attestation = artifact.attestation;
        Ok(report)
    }

    async fn ledger_head(&self, ctx: &OpContext, estate: &Estate) -> Result<AuditLedger, Failure> {
        let signed = self.checkpoint(&ctx.tenant.key()).await?;
        Ok(AuditLedger {
            integrity: estate.integrity,
            tree_size: signed.size,
            root_hash: bundle::shown_root(signed.size, &signed.root),
            checkpoint: signed.note,
            public_key: signed.public_key,
        })
    }

    /// The newest rows of the window, newest first; for the implicit tenant those of all tenants.
    async fn newest<R: Record>(
        &self,
        ctx: &OpContext,
        request: &Request,
        at: impl Fn(&R) -> u64,
    ) -> Result<Vec<R>, Failure> {
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let mut found: Vec<R> = Vec::new();
        for tenant in self.seen_tenants(ctx, R::COLLECTION).await? {
            let query = Query {
                collection: R::COLLECTION,
                tenant,
                equals: Vec::new(),
                order: "updated_at_ms",
                since: request.from_ms.map(ms),
                after: request.to_ms.map(|to| (ms(to.saturating_add(1)), String::new())),
                limit: HISTORY,
            };
            let rows = self.store().page(query).await.map_err(store_failure)?;
            for row in &rows {
                found.push(parse::<R>(&row.row).map_err(store_failure)?.value);
            }
        }
        found.sort_by_key(|row| std::cmp::Reverse(at(row)));
        found.truncate(HISTORY);
        Ok(found)
    }

    /// The newest rows of the caller's own log that belong into a report, and where older ones begin.
    async fn records(&self, ctx: &OpContext, request: &Request) -> Result<(Vec<RecordRow>, Option<String>), Failure> {
        let mut before = match request.records_cursor.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse::<u64>().map_err(|_| invalid("`records_cursor` is not one of ours."))?),
            None => None,
        };
        let tenant = ctx.tenant.key();
        let (mut found, mut looked) = (Vec::new(), 0);
        loop {
            let query = AuditQuery {
                before_seq: before,
                since_ms: request.from_ms,
                until_ms: request.to_ms,
                limit: PAGE,
                ..AuditQuery::default()
            };
            let rows = self.store().audit_rows(&tenant, query).await.map_err(store_failure)?;
            for row in &rows {
                before = Some(row.seq);
                found.extend(RecordRow::of(&row_fact(row, &tenant)));
                if found.len() == RECORDS {
                    return Ok((found, before.filter(|seq| *seq > 1).map(|seq| seq.to_string())));
                }
            }
            looked += rows.len();
            if rows.len() < PAGE {
                return Ok((found, None));
            }
            if looked >= LOOKED_THROUGH {
                return Ok((found, before.map(|seq| seq.to_string())));
            }
        }
    }
}

fn invalid(why: &str) -> Failure {
    Failure::new(Code::ValidationFailed, why).status(400)
}

fn metrics_request(request: &Request, now_ms: u64) -> metrics::Request {
    let to_ms = request.to_ms.unwrap_or(now_ms);
    metrics::Request {
        to_ms: request.to_ms,
        window_ms: request.from_ms.map(|from| to_ms.saturating_sub(from)),
        ..metrics::Request::default()
    }
}

/// Where a report would go if it were published.
fn export_preview(estate: &Estate, request: &Request) -> RoutePreview {
    let word = |text: &str| Some(text.to_owned());
    let named = |text: &str| (!estate.tenant.is_local_implicit()).then(|| text.to_owned());
    let input = PreviewInput {
        event_type: word("security.assessment.report"),
        source: word("incident_monitor_assessment_report"),
        component: word("incident_monitor"),
        risk_level: word("high"),
        risk_category: word("security_gap"),
        confidence: word("high"),
        expected_destination: word("security_report"),
        source_kind: Some(SourceKind::TandemMonitor),
        tenant_id: named(&estate.tenant.org_id),
        workspace_id: named(&estate.tenant.workspace_id),
        route_tags: vec!["security_assessment_report".into()],
        destination_ids: request.route_destination_ids.clone(),
        ..PreviewInput::default()
    };
    let context = route::Context::from_parts(&input, None, None, None);
    let rows = route::ReadinessRows { destinations: &estate.destinations, sources: &estate.sources };
    route::preview(&estate.config, &context, &rows)
}
