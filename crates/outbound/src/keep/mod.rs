//! Keeping exported objects elsewhere: in the operator's directory, or in a store that speaks S3.
//!
//! One call is one attempt, and repeating it changes nothing: names hold the digest of what is kept. Deliberately absent:
//! reading, listing and removing. Whoever keeps evidence for others should not be able to take it back.

mod directory;
mod s3;

use std::{path::PathBuf, sync::Arc};

use tandem_core::{
    custody::{
        receipt::Locked,
        setting::{ExportKind, ExportTarget},
    },
    ports::Secret,
};

use crate::egress::Egress;

/// An object to be kept.
pub struct Object<'a> {
    pub target: &'a ExportTarget,
    /// Relative, of plain names.
    pub name: &'a str,
    pub body: Vec<u8>,
    /// SHA-256 of the body, hex.
    pub digest: &'a str,
    pub access_key: Option<&'a Secret>,
    pub secret_key: Option<&'a Secret>,
    pub session_token: Option<&'a Secret>,
    /// How a store is asked to lock it.
    pub lock: Option<Locked>,
    pub at_ms: u64,
}

/// Why an object was not kept: a machine word and a text, without secrets or paths of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub code: String,
    pub text: String,
}

impl Trouble {
    fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

pub struct Keeper {
    root: PathBuf,
    egress: Arc<Egress>,
}

impl Keeper {
    /// `root` is the operator's directory for exports; it is made when first needed.
    pub fn new(root: PathBuf, egress: Arc<Egress>) -> Self {
        Self { root, egress }
    }

    /// Says where the object lies once it is durable there.
    pub async fn keep(&self, object: Object<'_>) -> Result<String, Trouble> {
        let name = match &object.target.path {
            Some(path) => format!("{path}/{}", object.name),
            None => object.name.to_owned(),
        };
        match object.target.kind {
            ExportKind::Directory => {
                let (root, body, relative) = (self.root.clone(), object.body, name.clone());
                let kept = tokio::task::spawn_blocking(move || directory::keep(&root, &relative, &body)).await;
                kept.map_err(|_| Trouble::new("write_failed", "the write ended abnormally"))??;
                Ok(name)
            }
            ExportKind::S3 => s3::keep(&self.egress, object, &name).await,
        }
    }
}
