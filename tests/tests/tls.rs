//! Commands reach a server behind TLS.

use rustls::ServerConfig;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use weir_tests::Sandbox;

/// Ends TLS in front of `to`, until `serving` is dropped. Returns its port and the certificate.
async fn proxy(serving: &mut JoinSet<()>, to: String) -> (u16, String) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (issued.cert.der().clone(), issued.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key.try_into().expect("a key")).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            // who does not like the certificate hangs up
            let Ok(mut client) = acceptor.accept(stream).await else { continue };
            let mut server = TcpStream::connect(&to).await.expect("the server is there");
            tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
        }
    };
    serving.spawn(serve);
    (port, issued.cert.pem())
}

#[tokio::test]
async fn a_command_reaches_a_server_behind_tls_if_its_certificate_is_trusted() {
    let sandbox =
        Sandbox::builder().config("appName: far\ntopics: [notes]\n").file("app/gateway.lua", "return {}");
    let sandbox = sandbox.build();
    let server = sandbox.dev().await;
    let mut serving = JoinSet::new();
    let (port, certificate) =
        proxy(&mut serving, server.at.admin.trim_start_matches("http://").to_owned()).await;
    sandbox.write("trusted.pem", &certificate);
    let url = format!("https://localhost:{port}");
    let trusting = [("WEIR_URL", url.as_str()), ("SSL_CERT_FILE", "trusted.pem")];
    sandbox.weir_in(&trusting, &["append", "notes", "1"]).await.succeeded();
    assert_eq!(sandbox.weir_in(&trusting, &["events", "notes"]).await.succeeded().lines().len(), 1);

    let (_, other) = proxy(&mut serving, String::new()).await;
    sandbox.write("other.pem", &other);
    let refused = sandbox.weir_in(&[("SSL_CERT_FILE", "other.pem")], &["topics", "--url", &url]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("certificate"), "says what is wrong: {}", refused.stderr);
    let wrong = sandbox.weir(&["topics", "--url", "localhost:3001"]).await;
    assert!(wrong.code == Some(1) && wrong.stderr.contains("https://"), "{wrong:?}");
}
