//! DSSE envelopes: a payload of a named type with an Ed25519 signature by the key that signs checkpoints.
//!
//! What is signed is the pre-authentication encoding, which begins with `DSSEv1 `. A checkpoint begins with its origin,
//! and an origin has no space, so that neither signature can pass for the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::note::{NoteError, NoteSigner, VerifierKey};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DsseEnvelope)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Base64.
    pub payload: String,
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DsseSignature)]
pub struct Signature {
    /// The verifier key, as checkpoints name it.
    pub keyid: String,
    /// Base64.
    pub sig: String,
}

/// What is signed in place of the payload itself.
fn encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// An in-toto statement, version 1: what `predicate` says of the bytes with this SHA-256 digest.
pub fn statement(name: &str, sha256: &str, predicate_type: &str, predicate: Value) -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": name, "digest": { "sha256": sha256 } }],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
    .to_string()
}

pub fn seal(signer: &NoteSigner, payload_type: &str, payload: &str) -> Envelope {
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature {
            keyid: signer.verifier_key().to_string(),
            sig: STANDARD.encode(signer.sign_bytes(&encoding(payload_type, payload.as_bytes()))),
        }],
    }
}

/// The payload, once one of `known` vouches for it and none of them contradicts.
pub fn open(envelope: &Envelope, known: &[VerifierKey]) -> Result<Vec<u8>, NoteError> {
    let payload = STANDARD.decode(&envelope.payload).map_err(|_| NoteError::MalformedNote)?;
    let signed = encoding(&envelope.payload_type, &payload);
    let mut vouched = false;
    for signature in &envelope.signatures {
        let Some(key) = known.iter().find(|key| key.to_string() == signature.keyid) else { continue };
        let bytes = STANDARD.decode(&signature.sig).map_err(|_| NoteError::MalformedNote)?;
        if !key.verifies(&signed, &bytes) {
            return Err(NoteError::BadSignature);
        }
        vouched = true;
    }
    if vouched { Ok(payload) } else { Err(NoteError::NotSigned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_for_its_key_and_for_no_other() {
        let signer = NoteSigner::new("tandem-a", &[9; 32]).unwrap();
        let text = statement("artifacts/report.json", "ab", "https://example.org/v1", json!({ "k": 1 }));
        let envelope = seal(&signer, IN_TOTO, &text);
        let known = [signer.verifier_key().clone()];
        assert_eq!(open(&envelope, &known), Ok(text.clone().into_bytes()));
        let other = NoteSigner::new("tandem-b", &[8; 32]).unwrap();
        assert_eq!(open(&envelope, &[other.verifier_key().clone()]), Err(NoteError::NotSigned));
        let altered = Envelope { payload: STANDARD.encode(text.replace("\"ab\"", "\"ac\"")), ..envelope.clone() };
        assert_eq!(open(&altered, &known), Err(NoteError::BadSignature));
        let retyped = Envelope { payload_type: "text/plain".into(), ..envelope.clone() };
        assert_eq!(open(&retyped, &known), Err(NoteError::BadSignature));
        let bare = Envelope { signatures: Vec::new(), ..envelope };
        assert_eq!(open(&bare, &known), Err(NoteError::NotSigned));
    }

    #[test]
    fn the_encoding_is_the_published_one() {
        let encoded = encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
