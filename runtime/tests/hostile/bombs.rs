//! Answers of other servers that are small and become large.

use crate::cases::End::{Memory, Returned};
use crate::{KEPT, NEIGHBOUR, meet};
use flate2::{Compression, write::GzEncoder};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use weir_library::{Outbound, OutboundSettings, Policy, Services};
use weir_runtime::test_support::Bench;

/// 400 MB of zeros.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..400 {
        packed.write_all(&[0; 1_000_000]).expect("memory takes everything");
    }
    packed.finish().expect("memory takes everything")
}

/// Answers every request with `body`, one after the other; its address.
fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let asked = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            // who has read enough hangs up
            let _sent =
                asked.and_then(|_| stream.write_all(head.as_bytes())).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn an_answer_that_unpacks_to_more_than_the_limit_is_refused_and_its_memory_comes_back() {
    let packed = bomb();
    assert!(packed.len() < 1 << 20, "a bomb is small");
    let url = serve(packed);
    let once = format!(
        "return function() local answer, err = require('http').get('{url}') assert(answer == nil and err) return 1 end"
    );
    let again =
        format!("return function() local http = require 'http' for i = 1, 5 do http.get('{url}') end end");
    let together = format!(
        "return function() return #require('http').all({{{{url = '{url}'}}, {{url = '{url}'}}, {{url = '{url}'}}}}) end"
    );
    let settings = OutboundSettings { policy: Policy::open(), ..OutboundSettings::default() };
    let services = Services::new(Outbound::new(settings, None).expect("no certificates"));
    let sources = [
        ("app/once.lua", once.as_str()),
        ("app/again.lua", &again),
        ("app/together.lua", &together),
        ("app/neighbour.lua", NEIGHBOUR),
    ];
    let bench = Rc::new(Bench::with_services(&sources, services));
    let before = bench.worker.settled_memory();
    for (function, ends) in
        [("once", [Returned, Returned]), ("again", [Returned, Memory]), ("together", [Returned, Memory])]
    {
        let end = meet(&bench, function, &ends).await;
        assert!(end.as_ref().is_ok_and(|end| ends.contains(end)), "{function}: {end:?}");
        let kept = bench.worker.settled_memory().saturating_sub(before);
        assert!(kept < KEPT, "{function}: {kept} bytes more than before");
    }
}
