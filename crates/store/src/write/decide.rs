//! Questions that are decided under the tenant's lock: the rows that the decision asks for are read, it is run again,
//! and what it leaves becomes part of the commit.

use tandem_core::{
    actor::OpContext,
    decide::{Ask, Decide, Loaded, ROUNDS, Settled, Step, step},
    ports::{Query, Row},
    tenant::TenantKey,
};

use crate::{
    error::Fault,
    read,
    session::{Session, Stmt, Value},
    sql::{self, Select},
};

pub async fn settle<S: Session>(
    session: &mut S,
    ctx: &OpContext,
    tenant: &TenantKey,
    decide: &dyn Decide,
    seed: u128,
) -> Result<Settled, Fault> {
    let mut loaded = Loaded::default();
    let mut asks = decide.first_asks();
    for _ in 0..ROUNDS {
        if !asks.is_empty() {
            fetch(session, tenant, asks, &mut loaded).await?;
        }
        match step(decide, ctx, &loaded, seed) {
            Step::Settled(settled) => return Ok(settled),
            Step::Ask(more) => asks = more,
            Step::Corrupt(why) => return Err(Fault::Corrupt(why)),
        }
    }
    Err(Fault::Refused(format!("a decision asks without end: {decide:?}")))
}

/// All in one round trip.
async fn fetch<S: Session>(
    session: &mut S,
    tenant: &TenantKey,
    asks: Vec<Ask>,
    loaded: &mut Loaded,
) -> Result<(), Fault> {
    let selects: Vec<Option<Select>> = asks
        .iter()
        .map(|ask| match ask {
            Ask::Row { .. } => None,
            Ask::Page(page) => Some(sql::page(Query {
                collection: page.collection,
                tenant: tenant.clone(),
                equals: page.equals.clone(),
                order: page.order,
                since: page.since,
                after: page.before.map(|before| (before, String::new())),
                limit: page.limit,
            })),
        })
        .collect();
    let statements: Vec<Stmt<'_>> = asks
        .iter()
        .zip(&selects)
        .map(|(ask, select)| match (ask, select) {
            (_, Some(select)) => {
                Stmt { sql: &select.sql, params: select.params.iter().map(Value::from).collect::<Vec<_>>() }
            }
            (Ask::Row { collection, id }, None) => {
                Stmt::new(&sql::of(collection).get, [Value::Text(tenant.as_str()), Value::Text(id)])
            }
            (Ask::Page(_), None) => Stmt::new("SELECT 1 WHERE 1 = 0", []),
        })
        .collect();
    let answers = session.query_all(&statements).await?;
    drop(statements);
    for (ask, mut rows) in asks.into_iter().zip(answers) {
        let found: Vec<Row> = match &ask {
            Ask::Row { .. } => rows.iter_mut().map(read::row).collect::<Result<_, _>>()?,
            Ask::Page(_) => {
                rows.iter_mut().map(|cells| read::page_row(cells).map(|found| found.row)).collect::<Result<_, _>>()?
            }
        };
        loaded.fill(ask, found);
    }
    Ok(())
}
