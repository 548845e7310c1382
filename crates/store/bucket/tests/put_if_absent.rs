//! What a put-if-absent makes of each answer, with the object there and not there: a service in a
//! socket that answers the first put of an object as it is told, and is right from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstay_bucket::{Bucket, BucketConfig, Created, Provider, Role, S3Credentials, Secret};
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How the first put is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// This status and code; the body breaks off where `cut`.
    Refusal {
        status: u16,
        code: &'static str,
        cut: bool,
    },
    /// The connection ends without an answer.
    Nothing { after_effect: bool },
    /// As it is.
    Truth,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Service {
    Azure,
    S3,
}

struct World {
    service: Service,
    objects: Mutex<BTreeSet<String>>,
    answer: Mutex<Option<Answer>>,
    /// Every put is answered so, not only the first.
    endless: bool,
}

/// One request: method, path with query. `None`: the connection ends.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

fn response(status: u16, body: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} x\r\nETag: \"e\"\r\nLast-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n\
         Content-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn refusal(status: u16, code: &str) -> String {
    let body = match code {
        "" => String::new(),
        code => format!("<Error><Code>{code}</Code><Message>m</Message></Error>"),
    };
    response(status, &body, body.len())
}

impl World {
    fn respond(&self, method: &str, path: &str) -> Option<String> {
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        if query.contains("list") {
            let body = match self.service {
                Service::Azure => {
                    "<EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>"
                }
                Service::S3 => {
                    "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
                }
            };
            return Some(response(200, body, body.len()));
        }
        let mut objects = self.objects.lock().unwrap();
        match method {
            "HEAD" | "GET" if objects.contains(name) => Some(response(200, "", 200)),
            "HEAD" | "GET" => Some(refusal(404, "")),
            // Azure's batch of deletions, of one here: the probe's.
            "POST" => {
                let body = "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n\
                            HTTP/1.1 202 Accepted\r\n\r\n\r\n--b--\r\n";
                let response = response(202, body, body.len());
                Some(response.replace("application/xml", "multipart/mixed; boundary=b"))
            }
            "DELETE" => {
                objects.remove(name);
                Some(response(202, "", 0))
            }
            _ => {
                let mut answer = self.answer.lock().unwrap();
                let told = match (name.ends_with("/x"), self.endless) {
                    (false, _) => None,
                    (true, false) => answer.take(),
                    (true, true) => *answer,
                };
                drop(answer);
                match told.unwrap_or(Answer::Truth) {
                    Answer::Refusal {
                        status,
                        code,
                        cut: false,
                    } => Some(refusal(status, code)),
                    Answer::Refusal { status, .. } => Some(response(status, "<Err", 200)),
                    Answer::Nothing { after_effect } => {
                        if after_effect {
                            objects.insert(name.to_owned());
                        }
                        None
                    }
                    Answer::Truth if objects.insert(name.to_owned()) => Some(response(201, "", 0)),
                    Answer::Truth => Some(match self.service {
                        Service::Azure => refusal(409, "BlobAlreadyExists"),
                        Service::S3 => refusal(412, "PreconditionFailed"),
                    }),
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some((method, path)) = request(&mut stream).await {
            let Some(response) = self.respond(&method, &path) else {
                return;
            };
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
            // A body that is shorter than its head says.
            if response.ends_with("<Err") {
                return;
            }
        }
    }
}

fn config(service: Service, endpoint: String) -> BucketConfig {
    let provider = match service {
        Service::Azure => Provider::Azure {
            account: "account".to_owned(),
            key: Secret::new("a2V5"),
            endpoint_base: Some(endpoint),
        },
        Service::S3 => Provider::S3 {
            region: "r".to_owned(),
            credentials: Some(S3Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("secret"),
            }),
            endpoint_base: Some(endpoint),
        },
    };
    BucketConfig {
        provider,
        container: "container".to_owned(),
        prefix: String::new(),
        encryption_key: Secret::new("a generated secret"),
        role: Role::Own,
        deadline: Duration::from_secs(60),
        source_address: None,
        kept_in: None,
    }
}

async fn open(service: Service, endless: bool, deadline: Duration) -> (Bucket, Arc<World>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let world = Arc::new(World {
        service,
        objects: Mutex::default(),
        answer: Mutex::new(None),
        endless,
    });
    let serving = Arc::clone(&world);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&serving).serve(stream));
        }
    });
    let config = BucketConfig {
        deadline,
        ..config(service, endpoint)
    };
    (Bucket::open(config).await.unwrap(), world)
}

/// What is made of it, and whether the object is there then.
async fn put(service: Service, answer: Answer, there: bool) -> (Result<Created, String>, bool) {
    let (bucket, world) = open(service, false, Duration::from_secs(60)).await;
    if there {
        bucket
            .put_if_absent("x", Bytes::from_static(b"before"))
            .await
            .unwrap();
    }
    *world.answer.lock().unwrap() = Some(answer);
    let made = bucket.put_if_absent("x", Bytes::from_static(b"now")).await;
    let there = world
        .objects
        .lock()
        .unwrap()
        .iter()
        .any(|name| name.ends_with("/x"));
    (made.map_err(|error| error.to_string()), there)
}

#[tokio::test]
async fn an_object_is_said_to_exist_only_where_it_does() {
    let refusal = |status, code| Answer::Refusal {
        status,
        code,
        cut: false,
    };
    let cut = |status| Answer::Refusal {
        status,
        code: "",
        cut: true,
    };
    let answers = [
        Answer::Truth,
        refusal(409, ""),
        refusal(409, "SomethingNew"),
        refusal(409, "ConditionalRequestConflict"),
        refusal(409, "OperationAborted"),
        refusal(412, ""),
        refusal(412, "SomethingNew"),
        cut(409),
        cut(412),
        refusal(500, "InternalError"),
        refusal(503, "ServerBusy"),
        refusal(429, ""),
        cut(500),
        Answer::Nothing {
            after_effect: false,
        },
    ];
    for service in [Service::Azure, Service::S3] {
        for answer in answers {
            let made = put(service, answer, false).await;
            assert_eq!(
                made,
                (Ok(Created::New), true),
                "{service:?} {answer:?}, not there"
            );
            let made = put(service, answer, true).await;
            let expected = (Ok(Created::AlreadyExists), true);
            assert_eq!(made, expected, "{service:?} {answer:?}, there");
        }
        // Its own: whoever is told so reads it to know.
        let lost = Answer::Nothing { after_effect: true };
        let made = put(service, lost, false).await;
        assert_eq!(
            made,
            (Ok(Created::AlreadyExists), true),
            "{service:?} {lost:?}"
        );
        for answer in [refusal(403, ""), refusal(404, ""), refusal(400, "")] {
            let (made, there) = put(service, answer, false).await;
            assert!(made.is_err() && !there, "{service:?} {answer:?}: {made:?}");
        }
    }
}

#[tokio::test]
async fn one_that_the_service_never_explains_is_an_error_in_the_end() {
    let (bucket, world) = open(Service::Azure, true, Duration::from_secs(1)).await;
    *world.answer.lock().unwrap() = Some(Answer::Refusal {
        status: 409,
        code: "",
        cut: false,
    });
    let error = bucket
        .put_if_absent("x", Bytes::from_static(b"now"))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("409"), "{error}");
}
