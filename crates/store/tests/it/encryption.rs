//! TLS to PostgreSQL: the real server behind an end point that speaks TLS for it, as managed databases have.

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tandem_store::{OpenError, open_postgres};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::lab::{self, Lab, Opened, fresh, local, report, send};

/// What a client sends first to ask for TLS: its length and a number that is no protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

struct Door {
    port: u16,
    roots: PathBuf,
}

impl Door {
    /// Listens with a certificate for `localhost` that a root of its own has signed; without `tls` it declines.
    async fn before(server: String, tls: bool) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &root).expect("a certificate");
        let roots = std::env::temp_dir().join(format!("tandem-root-{}-{}.pem", std::process::id(), fresh()));
        std::fs::write(&roots, root.pem()).expect("a file for the root");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key"),
            )
            .expect("a certificate with its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("localhost:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let mut asked = [0; 8];
                    client.read_exact(&mut asked).await?;
                    assert_eq!(asked, SSL_REQUEST, "the first words ask for TLS");
                    if !tls {
                        return client.write_all(b"N").await;
                    }
                    client.write_all(b"S").await?;
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
                });
            }
        });
        Self { port, roots }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.roots);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_for_encryption_gets_it_from_the_right_server_only() {
    lab::run(Lab::postgres().await, |lab| async move {
        let url = lab.url();
        let (user, place) = url.trim_start_matches("postgres://").split_once('@').expect("a user");
        let (server, database) = place.split_once('/').expect("a database");
        let door = Door::before(server.to_owned(), true).await;
        let roots = door.roots.display();
        let at = |host: &str, rest: &str| format!("postgres://{user}@{host}:{}/{database}?{rest}", door.port);

        let right = at("localhost", &format!("sslmode=verify-full&sslrootcert={roots}"));
        let opened = Arc::new(Opened::Postgres(open_postgres(&right).await.expect("it opens")));
        send(&opened, report(&local(), "encrypted", 1)).await;
        assert_eq!(opened.store().audit_size(&local().key()).await, Ok(1));

        let another = at("127.0.0.1", &format!("sslmode=require&sslrootcert={roots}"));
        let unknown = Door::before(server.to_owned(), true).await;
        let unknown = at("localhost", &format!("sslmode=verify-full&sslrootcert={}", unknown.roots.display()));
        let open = Door::before(server.to_owned(), false).await;
        let open = format!("postgres://{user}@localhost:{}/{database}?sslmode=require&sslrootcert={roots}", open.port);
        for (refused, why) in [(another, "certificate"), (unknown, "certificate"), (open, "TLS")] {
            let error = open_postgres(&refused).await.map(|_| ()).expect_err("this is not the server that was meant");
            assert!(matches!(&error, OpenError::Unavailable(text) if text.contains(why)), "{refused}: {error}");
        }
    })
    .await;
}
