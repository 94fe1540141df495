//! Evidence in one file: documents, the log that tells of them, and a signed list that holds both together.
//!
//! | Line | Holds |
//! |---|---|
//! | first | `{"type":"evidence_bundle","schema_version":1,"manifest":"<signed note>"}` |
//! | one for each document | `{"type":"evidence_file","name":…,"media_type":…,"sha256":…,"bytes":…,"content":"<base64>"}` |
//! | the rest | an export of the log, with its trailer |
//!
//! The manifest is a C2SP signed note by the key of the log. Its text is [`HEADING`], the origin of the log, size and root
//! of the tree that the export is proved in, the time, and a line for each document: its SHA-256, its length, its media
//! type and its name. So no document can be changed, left out, added, or put to another log. Its second line is no number,
//! so it never passes for a checkpoint.
//!
//! Deliberately absent: judging the export, which is `verify`'s.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    checkpoint::Checkpoint,
    dsse,
    note::{Note, NoteError, NoteSigner, VerifierKey},
};

pub const HEADING: &str = "tandem-evidence/v1";
pub const BUNDLE_TYPE: &str = "evidence_bundle";
pub const FILE_TYPE: &str = "evidence_file";
const MOST_FILES: usize = 10_000;

/// A document before it is packed. Names hold no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    pub media_type: String,
    pub content: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    schema_version: u32,
    manifest: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    media_type: String,
    sha256: String,
    bytes: u64,
    content: String,
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn plain(word: &str) -> bool {
    !word.is_empty() && word.len() <= 300 && !word.contains(char::is_control)
}

/// The lines before the export, each with its newline.
///
/// # Errors
/// A name or media type cannot be written in a line.
pub fn pack(head: &Checkpoint, at_ms: u64, documents: &[Document], signer: &NoteSigner) -> Result<String, NoteError> {
    let mut text = format!("{HEADING}\n{}\n{} {}\n{at_ms}\n", head.origin, head.size, STANDARD.encode(head.root));
    for document in documents {
        if !plain(&document.name) || !plain(&document.media_type) || document.media_type.contains(' ') {
            return Err(NoteError::MalformedNote);
        }
        let (sha256, bytes) = (digest(&document.content), document.content.len());
        let _ = writeln!(text, "{sha256} {bytes} {} {}", document.media_type, document.name);
    }
    let head = Head { kind: BUNDLE_TYPE.into(), schema_version: 1, manifest: signer.sign(&text)? };
    let mut out = serde_json::to_string(&head).unwrap_or_default();
    out.push('\n');
    for document in documents {
        let file = File {
            kind: FILE_TYPE.into(),
            name: document.name.clone(),
            media_type: document.media_type.clone(),
            sha256: digest(&document.content),
            bytes: document.content.len() as u64,
            content: STANDARD.encode(&document.content),
        };
        out.push_str(&serde_json::to_string(&file).unwrap_or_default());
        out.push('\n');
    }
    Ok(out)
}

/// What a verifier says of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// Every document is as it was signed, and none is missing or added.
    pub verified: bool,
    /// Names of the documents that are as signed.
    pub documents: Vec<String>,
    pub problems: Vec<String>,
}

/// Takes the lines before the export, one by one.
#[derive(Debug, Default)]
pub struct Evidence {
    manifest: Option<String>,
    /// Name, digest and length of each as it came.
    found: Vec<(String, String, String)>,
    /// What witnesses signed, as the document about it came.
    witnesses: Option<Vec<u8>>,
    /// Signed statements about other documents, by name.
    statements: Vec<(String, Vec<u8>)>,
    problems: Vec<String>,
}

/// The document that holds what witnesses signed.
pub const WITNESSES: &str = "audit-witnesses.json";
/// `<name>.json` has its signed statement in `<name>.dsse.json`.
pub const STATEMENT: &str = ".dsse.json";

impl Evidence {
    /// Whether a file begins as evidence does.
    pub fn begins(line: &[u8]) -> bool {
        serde_json::from_slice::<Head>(line).is_ok_and(|head| head.kind == BUNDLE_TYPE)
    }

    /// Whether the line is one of these; the first that is not belongs to the export.
    pub fn take(&mut self, line: &[u8]) -> bool {
        if let Ok(file) = serde_json::from_slice::<File>(line)
            && file.kind == FILE_TYPE
        {
            match STANDARD.decode(&file.content) {
                Ok(content) => {
                    let (sha256, bytes) = (digest(&content), content.len());
                    if sha256 != file.sha256 || bytes as u64 != file.bytes {
                        self.problems.push(format!("{}: its content is not what its line says", file.name));
                    }
                    if file.name == WITNESSES {
                        self.witnesses = Some(content);
                    } else if file.name.ends_with(STATEMENT) {
                        self.statements.push((file.name.clone(), content));
                    }
                    self.found.push((file.name, sha256, format!("{bytes} {}", file.media_type)));
                }
                Err(_) => self.problems.push(format!("{}: its content cannot be read", file.name)),
            }
            return true;
        }
        match serde_json::from_slice::<Head>(line) {
            Ok(head) if head.kind == BUNDLE_TYPE => {
                if self.manifest.replace(head.manifest).is_some() {
                    self.problems.push("there are two manifests".into());
                }
                if head.schema_version != 1 {
                    self.problems.push("the version of the bundle is unknown".into());
                }
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// The checkpoints that witnesses have signed.
    pub fn cosigned(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Signed {
            checkpoint: Option<String>,
        }
        let listed = self.witnesses.as_deref().map(serde_json::from_slice::<Vec<Signed>>);
        listed.and_then(Result::ok).unwrap_or_default().into_iter().filter_map(|one| one.checkpoint).collect()
    }

    /// Whether each signed statement is by this key, and about the document that stands beside it.
    fn judge_statements(&mut self, key: &VerifierKey) {
        for (name, content) in std::mem::take(&mut self.statements) {
            let about = format!("{}.json", name.strip_suffix(STATEMENT).unwrap_or(&name));
            let envelope = serde_json::from_slice::<dsse::Envelope>(&content).ok();
            let opened = envelope.and_then(|envelope| dsse::open(&envelope, std::slice::from_ref(key)).ok());
            let told = opened.and_then(|payload| serde_json::from_slice::<serde_json::Value>(&payload).ok());
            let digest = told.as_ref().and_then(|told| told["subject"][0]["digest"]["sha256"].as_str());
            let stands = self.found.iter().find(|(found, ..)| *found == about).map(|(_, sha256, _)| sha256.as_str());
            if digest.is_none() || digest != stands {
                self.problems.push(format!("{name}: it is no statement of this log's key about {about}"));
            }
        }
    }

    /// The judgement, with the key that opened the log's checkpoint and with that checkpoint.
    pub fn finish(mut self, key: Option<&VerifierKey>, checkpoint: Option<&Checkpoint>) -> EvidenceReport {
        let mut documents = Vec::new();
        if let Some(key) = key {
            self.judge_statements(key);
        }
        match self.listed(key, checkpoint) {
            Ok(listed) => {
                for (name, sha256, rest) in &listed {
                    match self.found.iter().filter(|found| found.0 == *name).collect::<Vec<_>>().as_slice() {
                        [] => self.problems.push(format!("{name}: it is listed and not there")),
                        [one] if one.1 == *sha256 && one.2 == *rest => documents.push(name.clone()),
                        [_] => self.problems.push(format!("{name}: it is not what was signed")),
                        [..] => self.problems.push(format!("{name}: it is there twice")),
                    }
                }
                for (name, ..) in &self.found {
                    if !listed.iter().any(|known| known.0 == *name) {
                        self.problems.push(format!("{name}: it is there and not listed"));
                    }
                }
            }
            Err(why) => self.problems.push(why),
        }
        EvidenceReport { verified: self.problems.is_empty(), documents, problems: self.problems }
    }

    fn listed(
        &self,
        key: Option<&VerifierKey>,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Vec<(String, String, String)>, String> {
        let note = self.manifest.as_deref().ok_or("there is no manifest")?;
        let (Some(key), Some(signed)) = (key, checkpoint) else {
            return Err("the log's checkpoint could not be opened, so nothing vouches for the manifest".into());
        };
        let note = Note::parse(note).map_err(|why| why.to_string())?;
        let (text, _) = note.open(std::slice::from_ref(key)).map_err(|why| why.to_string())?;
        let mut lines = text.lines();
        let head = [lines.next(), lines.next(), lines.next(), lines.next()];
        let place = format!("{} {}", signed.size, STANDARD.encode(signed.root));
        match head {
            [Some(HEADING), Some(origin), Some(tree), Some(_)] if origin == signed.origin && tree == place => {}
            [Some(HEADING), ..] => return Err("the manifest is of another log or another tree".into()),
            [..] => return Err("the signed text is no manifest".into()),
        }
        let mut listed = Vec::new();
        for line in lines.take(MOST_FILES) {
            let mut parts = line.splitn(4, ' ');
            let (Some(sha256), Some(bytes), Some(kind), Some(name)) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err("a line of the manifest cannot be read".into());
            };
            listed.push((name.to_owned(), sha256.to_owned(), format!("{bytes} {kind}")));
        }
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::new("tandem.test", &[5; 32]).unwrap()
    }

    fn head() -> Checkpoint {
        Checkpoint::new("tandem.test/local/local".into(), 3, [7; 32])
    }

    fn packed() -> String {
        let document = |name: &str, content: &str| Document {
            name: name.into(),
            media_type: "application/json".into(),
            content: content.into(),
        };
        pack(&head(), 9, &[document("inventory.json", "{}"), document("my report.json", "[1]")], &signer()).unwrap()
    }

    fn judged(text: &str, key: &NoteSigner, at: &Checkpoint) -> EvidenceReport {
        let mut evidence = Evidence::default();
        assert!(text.lines().all(|line| evidence.take(line.as_bytes())));
        evidence.finish(Some(key.verifier_key()), Some(at))
    }

    #[test]
    fn what_was_packed_verifies_and_nothing_else_does() {
        let text = packed();
        assert!(Evidence::begins(text.lines().next().unwrap().as_bytes()));
        let good = judged(&text, &signer(), &head());
        assert_eq!((good.verified, good.documents.len(), good.problems.len()), (true, 2, 0), "{good:?}");
        let lines: Vec<&str> = text.lines().collect();
        let line = |at: usize| format!("{}\n", lines[at]);
        let swapped = line(2).replace("WzFd", "WzJd");
        let honest = swapped.replace(&digest(b"[1]"), &digest(b"[2]"));
        let other = NoteSigner::new("tandem.test", &[6; 32]).unwrap();
        let later = Checkpoint::new("tandem.test/local/local".into(), 4, [7; 32]);
        let elsewhere = Checkpoint::new("tandem.test/acme/main".into(), 3, [7; 32]);
        let cases = [
            ("changed", line(0) + &line(1) + &swapped, signer(), head()),
            ("changed with its digest", line(0) + &line(1) + &honest, signer(), head()),
            ("renamed", text.replace("my report", "my repord"), signer(), head()),
            ("left out", line(0) + &line(1), signer(), head()),
            ("twice", text.clone() + &line(1), signer(), head()),
            ("added", text.clone() + &line(1).replace("inventory", "more"), signer(), head()),
            ("no manifest", line(1) + &line(2), signer(), head()),
            ("two manifests", line(0) + &text, signer(), head()),
            ("another key", text.clone(), other, head()),
            ("another tree", text.clone(), signer(), later),
            ("another log", text.clone(), signer(), elsewhere),
        ];
        for (what, text, key, at) in cases {
            let report = judged(&text, &key, &at);
            assert!(!report.verified && !report.problems.is_empty(), "{what}: {report:?}");
        }
        assert!(!Evidence::default().take(b"{\"seq\":1}"));
        // A manifest never passes for a checkpoint.
        let manifest = serde_json::from_str::<Head>(lines[0]).unwrap().manifest;
        assert!(Checkpoint::open(&manifest, &[signer().verifier_key().clone()]).is_err());
    }

    #[test]
    fn a_statement_is_about_the_document_beside_it() {
        let told = |sha256: &str, by: &NoteSigner| {
            let text = dsse::statement("artifacts/r.json", sha256, "https://example.org/v1", serde_json::json!({}));
            serde_json::to_vec(&dsse::seal(by, dsse::IN_TOTO, &text)).unwrap()
        };
        let other = NoteSigner::new("tandem.test", &[6; 32]).unwrap();
        for (what, statement, good) in [
            ("about it", told(&digest(b"[1]"), &signer()), true),
            ("about another", told(&digest(b"[2]"), &signer()), false),
            ("by another", told(&digest(b"[1]"), &other), false),
            ("no statement", b"{}".to_vec(), false),
        ] {
            let document = |name: &str, content: &[u8]| Document {
                name: name.into(),
                media_type: "application/json".into(),
                content: content.to_vec(),
            };
            let documents = [document("r.dsse.json", &statement), document("r.json", b"[1]")];
            let report = judged(&pack(&head(), 9, &documents, &signer()).unwrap(), &signer(), &head());
            assert_eq!(report.verified, good, "{what}: {report:?}");
        }
    }

    #[test]
    fn names_stay_on_their_lines() {
        let bad = Document { name: "a\nb".into(), media_type: "x/y".into(), content: Vec::new() };
        assert!(pack(&head(), 1, &[bad], &signer()).is_err());
    }
}
