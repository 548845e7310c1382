//! Many endpoints, floods and noise.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Server, TEST_TIMEOUT, point, profile, query};

/// Resident memory of this process in MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|it| it.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Ten thousand endpoints on ten thousand loopback addresses, every fourth of them dead: each is
/// found out with a few sockets at a time, and each of the fifty names points to the right one.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_endpoints() {
    const PROFILES: u8 = 50;
    const ENDPOINTS: u8 = 200;
    let dead = |endpoint: u8| endpoint.is_multiple_of(4);
    let server = Server::with(|config| {
        config.vantage_points = vec![point("a")];
        config.max_probes = 100;
    })
    .await;
    let api = &server.api;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(IpAddr::V4(to)) = stream.local_addr().map(|it| it.ip()) else {
                continue;
            };
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let [.., endpoint] = to.octets();
                let code = if dead(endpoint) { 503 } else { 200 };
                let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    for number in 0..PROFILES {
        let endpoints: Vec<(String, String)> = (0..ENDPOINTS)
            .map(|it| {
                (
                    format!("e{it}"),
                    Ipv4Addr::new(127, 1, number, it).to_string(),
                )
            })
            .collect();
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let mut body = profile(&format!("n{number}"), port, 0, &endpoints);
        body["properties"]["monitorConfig"]["intervalInSeconds"] = json!(30);
        body["properties"]["monitorConfig"]["timeoutInSeconds"] = json!(10);
        api.put(&format!("p{number}"), body).await;
    }
    let begun = Instant::now();
    loop {
        let metrics = api.see("/metrics").await;
        let count = |status: &str| -> u32 {
            let begin = format!("backstay_traffic_endpoints{{status=\"{status}\"}} ");
            let line = metrics.lines().find_map(|it| it.strip_prefix(&begin));
            line.unwrap_or("0").parse().unwrap()
        };
        assert!(metrics.contains("backstay_traffic_monitored_endpoints 10000"));
        let under_way = metrics
            .lines()
            .find_map(|it| it.strip_prefix("backstay_traffic_probes_under_way "));
        assert!(under_way.unwrap().parse::<u32>().unwrap() <= 100);
        if (count("Online"), count("Degraded")) == (7_500, 2_500) {
            break;
        }
        assert!(begun.elapsed() < 2 * TEST_TIMEOUT, "{metrics}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for number in 0..PROFILES {
        let first = Ipv4Addr::new(127, 1, number, 1).to_string();
        api.until_points(&format!("n{number}"), &[&first]).await;
    }
    let used = memory();
    println!("known after {:?}, {used} MiB", begun.elapsed());
    assert!(used < 600, "{used} MiB");
    server.stop().await;
}

/// One source asks as fast as it can; others get their answers all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_source_leaves_others_their_answers() {
    let server = Server::with(|config| config.dns_rate = 200).await;
    let api = &server.api;
    api.put("p", profile("logs", 9, 3, &[("e", "192.0.2.7")]))
        .await;
    let to = api.addresses.dns[0];
    let over = Arc::new(AtomicBool::new(false));
    let flood = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.66:0").unwrap();
            let query = b"\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04logs\x02tm\x04test\x00\x00\x01\x00\x01";
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                // The kernel may have no room for more; that is the point.
                sent += u64::from(socket.send_to(query, to).is_ok());
            }
            sent
        })
    };
    let mut answered = 0;
    for number in 0..60_u8 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let from = Ipv4Addr::new(127, 0, 7, number + 1).to_string();
        let response = query(to, &from, "logs")
            .await
            .expect("no answer during the flood");
        assert_eq!(response.answers.len(), 1);
        answered += 1;
    }
    over.store(true, Ordering::Relaxed);
    let sent = flood.join().unwrap();
    let metrics = api.see("/metrics").await;
    let limited = metrics
        .lines()
        .find_map(|it| it.strip_prefix("backstay_traffic_dns_limited_total "));
    let limited: u64 = limited.unwrap().parse().unwrap();
    println!("{sent} in the flood, {limited} over the limit, {answered} others answered");
    assert!(limited > 0);
    server.stop().await;
}

/// Noise on UDP and TCP, and on the API's port: afterwards all three answer as before.
#[tokio::test(flavor = "multi_thread")]
async fn noise_is_survived() {
    let server = Server::start().await;
    let api = &server.api;
    api.put("p", profile("logs", 9, 3, &[("e", "192.0.2.7")]))
        .await;
    let to = api.addresses.dns[0];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..20_000 {
        let length = rand::random_range(0..1_400);
        let noise: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        let _ = socket.send_to(&noise, to);
    }
    let arm = api
        .addresses
        .arm
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    for address in [to.to_string(), arm] {
        for _ in 0..100 {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let noise: Vec<u8> = (0..2_000).map(|_| rand::random()).collect();
            let _ = stream.write_all(&noise).await;
        }
    }
    assert_eq!(api.resolve("logs").await, ["192.0.2.7"]);
    let shown: Value = api.get("p").await;
    assert_eq!(shown["name"], "p");
    server.stop().await;
}
