//! Several engines on one PostgreSQL database, and a server that goes away.

use tandem_core::{
    draft::DRAFTS,
    incident::{INCIDENTS, Incident},
    ports::StoreError,
    tenant::TenantContext,
};
use tandem_store::{OpenError, open_postgres};

use crate::lab::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_lose_no_signal() {
    run(Lab::postgres().await, |lab| async move {
        let engines = [lab.open().await, lab.open().await];
        // Tenants in opposite order, so that engines that locked carelessly would wait for each other in a circle.
        let tenants = [local(), TenantContext::explicit("acme", "b")];
        let callers = (0..16).map(|caller| {
            let (opened, mut tenants) = (engines[caller % 2].clone(), tenants.clone());
            if caller % 4 < 2 {
                tenants.reverse();
            }
            tokio::spawn(async move {
                for turn in 0..60 {
                    send(&opened, report(&tenants[turn % 2], &format!("key {}", turn % 3), 1_000)).await;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("every signal is counted");
        }
        for tenant in &tenants {
            let query = tandem_core::ports::Query { tenant: tenant.key(), ..list(&INCIDENTS, "updated_at_ms") };
            let page = engines[0].store().page(query).await.expect("it answers");
            let counts = page.iter().map(|row| serde_json::from_str::<Incident>(&row.row.body).expect("ours"));
            assert_eq!(counts.map(|incident| incident.occurrence_count).collect::<Vec<_>>(), [160; 3]);
            assert_eq!(count(&engines[1], &DRAFTS, tenant).await, 3);
            assert_eq!(engines[1].store().audit_size(&tenant.key()).await, Ok(480));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_start_together_make_one_schema() {
    run(Lab::postgres().await, |lab| async move {
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let lab = lab.clone();
                tokio::spawn(async move { lab.try_open().await.map(|_| ()) })
            })
            .collect();
        for start in starts {
            assert_eq!(start.await.expect("no panic"), Ok(()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_come_back() {
    run(Lab::postgres().await, |lab| async move {
        let opened = lab.open().await;
        for n in 0..5 {
            send(&opened, report(&local(), "before", n)).await;
            for _ in 0..4 {
                assert_eq!(count(&opened, &INCIDENTS, &local()).await, 1);
            }
            let url = lab.url();
            let name = url.rsplit_once('/').expect("a name").1;
            lab.administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
                .await;
        }
        send(&opened, report(&local(), "after", 9)).await;
        assert_eq!(count(&opened, &INCIDENTS, &local()).await, 2);
        assert_eq!(opened.store().audit_size(&local().key()).await, Ok(6), "each signal is counted once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_unavailable_until_it_does_not() {
    run(Lab::postgres().await, |lab| async move {
        let opened = lab.open().await;
        send(&opened, report(&local(), "one", 1)).await;
        let url = lab.url();
        let name = url.rsplit_once('/').expect("a name").1.to_owned();
        lab.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        lab.administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
            .await;
        let error = refused(&opened, report(&local(), "two", 2)).await;
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(matches!(opened.store().ping().await, Err(StoreError::Unavailable(_))));
        assert!(opened.store().get(&INCIDENTS, &local().key(), "x").await.is_err());
        lab.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
        // The back-off fails fast, so this asks again until it has passed.
        while opened.store().ping().await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(send(&opened, report(&local(), "two", 3)).await.audit_seq, 2);
    })
    .await;
}

#[tokio::test]
async fn an_address_without_a_server_is_unavailable() {
    let error = open_postgres("postgres://nobody@127.0.0.1:1/none").await.map(|_| ()).expect_err("nothing is there");
    assert!(matches!(error, OpenError::Unavailable(_)), "{error}");
}
