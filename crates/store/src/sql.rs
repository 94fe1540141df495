//! Statements made from a collection's description. The ones of the write path are made once and kept; a page's
//! statement depends on its filters and is cheap beside the query that it runs.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{PoisonError, RwLock},
};

use tandem_core::{
    ports::{Query, Walk},
    record::{Collection, Column},
    tenant::TenantKey,
};

/// Parameters: `?1` tenant and `?2` id everywhere; the rest as said.
#[derive(Debug)]
pub struct CollectionSql {
    /// Returns id, version and body.
    pub get: String,
    /// `?3` body, then the columns. Changes no row when one is in the way.
    pub insert: String,
    /// `?3` body, then the columns.
    pub upsert: String,
    /// `?3` version, `?4` body, then the columns.
    pub update: String,
    pub delete: String,
    /// `?3` version.
    pub delete_version: String,
}

static MADE: RwLock<Option<HashMap<&'static str, &'static CollectionSql>>> = RwLock::new(None);

/// The statements of a collection. Collections are static and few, so theirs live as long as the process.
pub fn of(collection: &'static Collection) -> &'static CollectionSql {
    let made = MADE.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sql) = made.as_ref().and_then(|made| made.get(collection.name)) {
        return sql;
    }
    drop(made);
    let mut made = MADE.write().unwrap_or_else(PoisonError::into_inner);
    made.get_or_insert_with(HashMap::new)
        .entry(collection.name)
        .or_insert_with(|| Box::leak(Box::new(make(collection))))
}

fn make(collection: &Collection) -> CollectionSql {
    let name = collection.name;
    let names: String = collection.columns.iter().fold(String::new(), |out, column| out + ", " + column);
    let marks: String = (4..4 + collection.columns.len()).fold(String::new(), |out, n| out + &format!(", ?{n}"));
    let replaced = collection.columns.iter().fold(String::new(), |mut out, column| {
        let _ = write!(out, ", {column} = excluded.{column}");
        out
    });
    let insert = format!("INSERT INTO {name} (tenant, id, version, body{names}) VALUES (?1, ?2, 1, ?3{marks})");
    CollectionSql {
        get: format!("SELECT id, version, body FROM {name} WHERE tenant = ?1 AND id = ?2"),
        upsert: format!(
            "{insert} ON CONFLICT (tenant, id) DO UPDATE SET version = {name}.version + 1, body = excluded.body{replaced}"
        ),
        insert: format!("{insert} ON CONFLICT DO NOTHING"),
        update: update(name, collection.columns),
        delete: format!("DELETE FROM {name} WHERE tenant = ?1 AND id = ?2"),
        delete_version: format!("DELETE FROM {name} WHERE tenant = ?1 AND id = ?2 AND version = ?3"),
    }
}

/// An update that leaves the other columns alone, and with them their indexes.
pub fn update(name: &str, columns: &[&str]) -> String {
    let mut sql = format!("UPDATE {name} SET version = version + 1, body = ?4");
    for (n, column) in columns.iter().enumerate() {
        let _ = write!(sql, ", {column} = ?{}", n + 5);
    }
    sql + " WHERE tenant = ?1 AND id = ?2 AND version = ?3"
}

/// A statement with parameters of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub sql: String,
    pub params: Vec<Column>,
}

impl Select {
    pub fn new(sql: impl Into<String>, params: impl Into<Vec<Column>>) -> Self {
        Self { sql: sql.into(), params: params.into() }
    }

    /// Appends text in which each `?` stands for the next of `values`.
    pub fn and(&mut self, text: &str, values: impl IntoIterator<Item = Column>) {
        let mut pieces = text.split('?');
        self.sql.push_str(pieces.next().unwrap_or_default());
        for (piece, value) in pieces.zip(values) {
            self.params.push(value);
            let _ = write!(self.sql, "?{}{piece}", self.params.len());
        }
    }

    fn equals(&mut self, equals: Vec<(&'static str, Column)>) {
        for (column, value) in equals {
            match value {
                Column::Null => self.and(&format!(" AND {column} IS NULL"), []),
                Column::Int(_) | Column::Text(_) | Column::Bytes(_) => self.and(&format!(" AND {column} = ?"), [value]),
            }
        }
    }
}

/// Returns the order value, id, version and body of each row.
pub fn page(query: Query) -> Select {
    let (name, order) = (query.collection.name, query.order);
    let mut select = Select::new(format!("SELECT {order}, id, version, body FROM {name} WHERE tenant = "), []);
    select.and("?", [Column::Text(query.tenant.0)]);
    select.equals(query.equals);
    let int = Column::Int;
    match (query.since, query.after) {
        (None, None) => {}
        (Some(since), None) => select.and(&format!(" AND {order} >= ?"), [int(since)]),
        (None, Some((at, id))) => {
            select.and(&format!(" AND ({order}, id) < (?, ?)"), [int(at), Column::Text(id)]);
        }
        // Given two bounds in any other form, SQLite prefers an index without the filters. The plus keeps it from
        // counting the cursor as a third.
        (Some(since), Some((at, id))) => select.and(
            &format!(" AND {order} BETWEEN ? AND ? AND (+{order}, id) < (?, ?)"),
            [int(since), int(at), int(at), Column::Text(id)],
        ),
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    select.and(&format!(" ORDER BY {order} DESC, id DESC LIMIT ?"), [Column::Int(limit)]);
    select
}

/// As [`page`], oldest first.
pub fn oldest(query: Query) -> Select {
    let (name, order) = (query.collection.name, query.order);
    let mut select = Select::new(format!("SELECT {order}, id, version, body FROM {name} WHERE tenant = "), []);
    select.and("?", [Column::Text(query.tenant.0)]);
    select.equals(query.equals);
    // A cursor is a lower bound itself, and a later one than any that it was reached from.
    match (query.since, query.after) {
        (_, Some((at, id))) => {
            select.and(&format!(" AND ({order}, id) > (?, ?)"), [Column::Int(at), Column::Text(id)]);
        }
        (Some(since), None) => select.and(&format!(" AND {order} >= ?"), [Column::Int(since)]),
        (None, None) => {}
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    select.and(&format!(" ORDER BY {order}, id LIMIT ?"), [Column::Int(limit)]);
    select
}

/// As [`page`], by id from the first on.
pub fn walk(walk: Walk) -> Select {
    let (name, order) = (walk.collection.name, walk.order);
    let mut select = Select::new(format!("SELECT {order}, id, version, body FROM {name} WHERE tenant = "), []);
    select.and("? AND id > ?", [Column::Text(walk.tenant.0), Column::Text(walk.after)]);
    if let Some((column, value)) = walk.equals {
        // Hidden from the planners: an index of the column would be in another order than the walk.
        select.and(&format!(" AND COALESCE({column}, '') = ?"), [Column::Text(value)]);
    }
    let limit = i64::try_from(walk.limit).unwrap_or(i64::MAX);
    select.and(" ORDER BY id LIMIT ?", [Column::Int(limit)]);
    select
}

pub fn count(collection: &Collection, tenant: &TenantKey, equals: Vec<(&'static str, Column)>) -> Select {
    let mut select = Select::new(format!("SELECT COUNT(*) FROM {} WHERE tenant = ", collection.name), []);
    select.and("?", [Column::text(tenant.as_str())]);
    select.equals(equals);
    select
}

/// Distinct values of the first column of an index, one seek for each value instead of a walk over every row.
pub fn distinct(table: &str, column: &str) -> String {
    format!(
        "WITH RECURSIVE walk(at) AS (SELECT (SELECT MIN({column}) FROM {table}) \
         UNION ALL SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > walk.at) FROM walk WHERE walk.at IS NOT NULL) \
         SELECT at FROM walk WHERE at IS NOT NULL"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    static THINGS: Collection = Collection { name: "things", columns: &["kind", "at_ms"] };

    #[test]
    fn the_write_statements() {
        let sql = of(&THINGS);
        assert_eq!(
            sql.insert,
            "INSERT INTO things (tenant, id, version, body, kind, at_ms) VALUES (?1, ?2, 1, ?3, ?4, ?5) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            sql.update,
            "UPDATE things SET version = version + 1, body = ?4, kind = ?5, at_ms = ?6 WHERE tenant = ?1 AND id = ?2 AND version = ?3"
        );
        assert!(std::ptr::eq(sql, of(&THINGS)), "made once");
    }

    #[test]
    fn a_page_numbers_its_parameters() {
        let select = page(Query {
            collection: &THINGS,
            tenant: TenantKey("t".into()),
            equals: vec![("kind", Column::text("a")), ("owner", Column::Null)],
            order: "at_ms",
            since: Some(5),
            after: Some((9, "x".into())),
            limit: 10,
        });
        assert_eq!(
            select.sql,
            "SELECT at_ms, id, version, body FROM things WHERE tenant = ?1 AND kind = ?2 AND owner IS NULL \
             AND at_ms BETWEEN ?3 AND ?4 AND (+at_ms, id) < (?5, ?6) ORDER BY at_ms DESC, id DESC LIMIT ?7"
        );
        assert_eq!(select.params.len(), 7);
    }
}
