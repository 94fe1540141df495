//! Names of exported objects.

use crate::tenant::TenantKey;

/// `<tenant>/<first>-<last>-<digest>.ndjson`. Numbers have their zeros, so that names sort like the log.
pub fn object(tenant: &TenantKey, first_seq: u64, last_seq: u64, digest: &str) -> String {
    let digits: String = digest.chars().take(16).collect();
    format!("{}/{first_seq:012}-{last_seq:012}-{digits}.ndjson", folder(tenant))
}

/// The parts of a tenant never hold `/`, and `..` is no folder of ours.
fn folder(tenant: &TenantKey) -> String {
    tenant
        .as_str()
        .split('/')
        .map(|part| if part.starts_with('.') { format!("_{part}") } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("/")
}

/// A relative path whose every part is a plain name: nothing leads upwards, and nothing is hidden.
pub fn is_plain_path(path: &str) -> bool {
    let plain = |part: &str| {
        (1..=100).contains(&part.len())
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.len() <= 400 && path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_like_the_log_and_stay_inside() {
        let tenant = TenantKey("local/local".into());
        assert_eq!(
            object(&tenant, 1, 40, &"ab".repeat(32)),
            "local/local/000000000001-000000000040-abababababababab.ndjson"
        );
        assert!(object(&tenant, 9, 10, "x") < object(&tenant, 10, 11, "a"));
        assert!(object(&TenantKey("../a".into()), 1, 1, "x").starts_with("_../a/"));
        for good in ["daily", "a/b-c/d_e.1"] {
            assert!(is_plain_path(good), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a b", "ä", "a\\b", &"x".repeat(401)] {
            assert!(!is_plain_path(bad), "{bad}");
        }
    }
}
