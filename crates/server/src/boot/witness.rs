//! Witnesses as the command line names them: `<verifier key>,<address>`.

use tandem_app::audit::Witness;
use tandem_core::audit::witness::WitnessKey;

/// # Errors
/// The sentence that the operator reads.
pub fn parse(given: &[String]) -> Result<Vec<Witness>, String> {
    let mut witnesses: Vec<Witness> = Vec::new();
    for text in given.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let parts = text.rsplit_once(',');
        let (key, url) = parts.ok_or_else(|| format!("--witness {text}: it is <verifier key>,<address>"))?;
        let key = WitnessKey::parse(key).map_err(|why| format!("--witness {text}: {why}"))?;
        let url = url.trim();
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains('@') {
            return Err(format!("--witness {text}: the address begins with https:// or http:// and names no user"));
        }
        if witnesses.iter().any(|known| known.key == key) {
            return Err(format!("--witness {}: it is named twice", key.name()));
        }
        witnesses.push(Witness { key, url: url.to_owned() });
    }
    Ok(witnesses)
}

#[cfg(test)]
mod tests {
    use tandem_core::audit::witness::WitnessSigner;

    use super::*;

    #[test]
    fn witnesses_are_named_with_their_keys() {
        let key = WitnessSigner::new("w.example", &[3; 32]).unwrap().key().to_string();
        let good = format!("{key},https://w.example/base");
        assert_eq!(parse(&[good.clone(), " ".into()]).unwrap()[0].url, "https://w.example/base");
        for bad in [key.clone(), format!("{key},ftp://x"), format!("{key},https://u@x"), "x,https://x".into()] {
            assert!(parse(&[bad]).is_err());
        }
        assert!(parse(&[good.clone(), good]).is_err());
    }
}
