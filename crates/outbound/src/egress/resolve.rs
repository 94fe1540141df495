//! Names to addresses, at the moment of dialling, through the rules.

use std::{io, net::IpAddr, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tandem_core::ports::BoxFuture;

use super::Rules;
use crate::failure::{Code, Failure};

/// The system's resolver, or a test's.
pub trait Lookup: Send + Sync {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

pub(super) struct Guarded {
    pub rules: Arc<dyn Rules>,
    pub lookup: Arc<dyn Lookup>,
    pub allow_private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, lookup, allow_private) = (self.rules.clone(), self.lookup.clone(), self.allow_private);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await.map_err(|error| Failure::because(Code::DnsFailed, error))?;
            if found.is_empty() {
                return Err(Failure::because(Code::DnsFailed, "no address").into());
            }
            for ip in &found {
                rules.address(*ip, allow_private).map_err(|why| Failure::because(Code::PrivateAddress, why))?;
            }
            // Port 0 is replaced by the URL's.
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
