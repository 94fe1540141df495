//! Typed reads.

use serde::de::DeserializeOwned;
use tandem_core::{
    error::Failure,
    ports::{Query, Row, StoreError, Walk},
    record::{Collection, Column, Record, Versioned},
    tenant::TenantKey,
};

use crate::{App, assess::Turn, store_failure};

/// How many rows [`App::every`] and [`App::whole`] read at once.
const EVERY: usize = 500;

/// What a list call asks for. `limit` is already clamped.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    pub limit: usize,
    pub after: Option<(i64, String)>,
    pub since_ms: Option<u64>,
    pub equals: Vec<(&'static str, Column)>,
}

/// One page, and where the next one begins.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<(i64, String)>,
}

pub(crate) fn parse<R: Record>(row: &Row) -> Result<Versioned<R>, StoreError> {
    match serde_json::from_str(&row.body) {
        Ok(value) => Ok(Versioned { version: row.version, value }),
        Err(error) => Err(StoreError::Corrupt(format!("{}/{}: {error}", R::COLLECTION.name, row.id))),
    }
}

impl App {
    pub(crate) async fn load<R: Record>(&self, tenant: &TenantKey, id: &str) -> Result<Option<Versioned<R>>, Failure> {
        let row = self.store().get(R::COLLECTION, tenant, id).await.map_err(store_failure)?;
        let Some(row) = row else { return Ok(None) };
        let value = self.recent.value(R::COLLECTION.name, id, &row.body, || parse(&row).map(|found| found.value));
        Ok(Some(Versioned { version: row.version, value: value.map_err(store_failure)? }))
    }

    /// A part of a stored record.
    pub(crate) async fn load_brief<T: DeserializeOwned>(
        &self,
        collection: &'static Collection,
        tenant: &TenantKey,
        id: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(row) = self.store().get(collection, tenant, id).await.map_err(store_failure)? else {
            return Ok(None);
        };
        serde_json::from_str(&row.body)
            .map(Some)
            .map_err(|error| store_failure(StoreError::Corrupt(format!("{}/{}: {error}", collection.name, row.id))))
    }

    pub(crate) async fn page<R: Record>(
        &self,
        tenant: &TenantKey,
        order: &'static str,
        request: &PageRequest,
    ) -> Result<Page<R>, Failure> {
        let query = Query {
            collection: R::COLLECTION,
            tenant: tenant.clone(),
            equals: request.equals.clone(),
            order,
            since: request.since_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            after: request.after.clone(),
            // One more than asked tells whether there is a next page.
            limit: request.limit + 1,
        };
        let mut rows = self.store().page(query).await.map_err(store_failure)?;
        let more = rows.len() > request.limit;
        rows.truncate(request.limit);
        let next = rows.last().filter(|_| more).map(|last| (last.order, last.row.id.clone()));
        let items = rows
            .iter()
            .map(|found| parse(&found.row).map(|v| v.value))
            .collect::<Result<Vec<R>, _>>()
            .map_err(store_failure)?;
        Ok(Page { items, next })
    }

    /// A part of each of up to `limit` records.
    pub(crate) async fn all_brief<T: DeserializeOwned>(
        &self,
        collection: &'static Collection,
        tenant: &TenantKey,
        order: &'static str,
        limit: usize,
    ) -> Result<Vec<T>, Failure> {
        let query =
            Query { collection, tenant: tenant.clone(), equals: Vec::new(), order, since: None, after: None, limit };
        let rows = self.store().page(query).await.map_err(store_failure)?;
        let brief = |row: &Row| {
            serde_json::from_str(&row.body)
                .map_err(|error| StoreError::Corrupt(format!("{}/{}: {error}", collection.name, row.id)))
        };
        rows.iter().map(|found| brief(&found.row)).collect::<Result<_, _>>().map_err(store_failure)
    }

    /// Every record, however many there are, the newest first.
    pub(crate) async fn every<R: Record>(
        &self,
        tenant: &TenantKey,
        order: &'static str,
        equals: Vec<(&'static str, Column)>,
    ) -> Result<Vec<R>, Failure> {
        let mut request = PageRequest { limit: EVERY, equals, ..PageRequest::default() };
        let mut all = Vec::new();
        loop {
            let page = self.page::<R>(tenant, order, &request).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// A whole collection of up to `most` rows, the newest first. Each row that is there all the while is met once, and
    /// only a part of the bodies is held at any time.
    pub(crate) async fn whole<R: Record>(
        &self,
        _: &Turn,
        tenant: &TenantKey,
        order: &'static str,
        equals: Option<(&'static str, &str)>,
        most: usize,
    ) -> Result<Vec<Versioned<R>>, Failure> {
        let mut found: Vec<(i64, String, Versioned<R>)> = Vec::new();
        loop {
            let limit = EVERY.min(most - found.len());
            let walk = Walk {
                collection: R::COLLECTION,
                tenant: tenant.clone(),
                equals: equals.map(|(column, value)| (column, value.to_owned())),
                order,
                after: found.last().map(|(_, id, _)| id.clone()).unwrap_or_default(),
                limit,
            };
            let rows = self.store().walk(walk).await.map_err(store_failure)?;
            let more = rows.len() == limit;
            for row in rows {
                let parsed = parse(&row.row).map_err(store_failure)?;
                found.push((row.order, row.row.id, parsed));
            }
            if !more || found.len() == most {
                break;
            }
        }
        found.sort_unstable_by(|(at, id, _), (other_at, other_id, _)| (other_at, other_id).cmp(&(at, id)));
        Ok(found.into_iter().map(|(.., row)| row).collect())
    }

    /// Up to `limit` rows with their versions.
    pub(crate) async fn all<R: Record>(
        &self,
        tenant: &TenantKey,
        order: &'static str,
        equals: Vec<(&'static str, Column)>,
        limit: usize,
    ) -> Result<Vec<Versioned<R>>, Failure> {
        let query =
            Query { collection: R::COLLECTION, tenant: tenant.clone(), equals, order, since: None, after: None, limit };
        let rows = self.store().page(query).await.map_err(store_failure)?;
        rows.iter().map(|found| parse(&found.row)).collect::<Result<_, _>>().map_err(store_failure)
    }
}
