//! `kubectl exec` and `kubectl port-forward`.

use serde_json::json;

use crate::region::{World, http, pod, shell};
use backstay_testkit::kubernetes::{no_kubectl, until};

#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_the_pod_that_curl_runs_in() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    for name in ["one", "two"] {
        world.apply(pod(name, http())).await;
    }
    for name in ["one", "two"] {
        world.until_running(name).await;
        world
            .exec(name, &format!("sh -c 'echo I am {name} > name'"))
            .await;
    }
    for name in ["one", "two"] {
        for host in ["localhost", "127.0.0.1"] {
            let answer = world
                .exec(name, &format!("curl -s http://{host}:8080/name"))
                .await;
            assert_eq!(answer, format!("I am {name}\n"));
        }
    }

    let mut forward = world.spawn(&["port-forward", "pod/two", ":8080"]);
    let lines = until(&mut forward, "-> 8080").await;
    let port = lines[0].split([':', ' ']).nth(3).unwrap();
    let answer = world
        .shell(&format!("curl -s http://127.0.0.1:{port}/name"))
        .await
        .ok();
    assert_eq!(answer, "I am two\n");
    forward.kill().await.unwrap();
    let proxied = world
        .kubectl("get --raw /api/v1/namespaces/logging/pods/one:8080/proxy/name")
        .await;
    assert_eq!(proxied, "I am one\n");
    let closed = world
        .refused("get --raw /api/v1/namespaces/logging/pods/one:8081/proxy/name")
        .await;
    assert!(closed.contains("8081 of pod one"), "{closed}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_input_exit_codes_and_terminals() {
    if no_kubectl() {
        return;
    }
    let world = World::start().await;
    let mut container = shell("sleep 600");
    container["env"] = json!([{ "name": "GREETING", "value": "hello" }]);
    world.apply(pod("shell", container)).await;
    world.until_running("shell").await;

    let counted = world
        .shell("seq 100000 | kubectl exec -i shell -- wc -l")
        .await
        .ok();
    assert_eq!(counted.trim(), "100000");
    // Without input there is an end of it.
    assert_eq!(world.exec("shell", "cat").await, "");
    let failed = world
        .shell("kubectl exec shell -- sh -c 'echo $GREETING; echo err >&2; exit 7'")
        .await;
    assert_eq!((failed.out.as_str(), failed.code), ("hello\n", Some(7)));
    assert!(failed.err.contains("err\n"), "{}", failed.err);
    let killed = world
        .shell("kubectl exec shell -- sh -c 'kill -9 $$'")
        .await;
    assert_eq!(killed.code, Some(137));
    let missing = world.refused("exec shell -- no-such-program").await;
    assert!(
        missing.contains("executable file not found in $PATH"),
        "{missing}"
    );

    // `script` gives kubectl the terminal without which it asks for none.
    let terminal = world
        .shell("script -qec \"kubectl exec -it shell -- sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; exit 3'\" /dev/null </dev/null")
        .await;
    assert!(
        terminal.out.contains("/dev/pts/") && terminal.out.contains("all"),
        "{terminal:?}"
    );
    assert_eq!(terminal.code, Some(3), "{terminal:?}");
    let typed = world
        .shell("(sleep 1; echo 'echo $((6 * 7)) $GREETING'; sleep 1; echo exit) | script -qec 'kubectl exec -it shell -- sh' /dev/null")
        .await
        .ok();
    assert!(typed.contains("42 hello"), "{typed}");

    // A client that hangs up takes its command with it.
    let before = world.runtime.groups().len();
    let mut hung = world.spawn(&["exec", "shell", "--", "sh", "-c", "echo up; sleep 600"]);
    until(&mut hung, "up").await;
    assert_eq!(world.runtime.groups().len(), before + 1);
    hung.kill().await.unwrap();
    crate::region::until("the command is gone", || async {
        match world.runtime.groups().len() {
            count if count == before => Ok(()),
            count => Err(count),
        }
    })
    .await;
    world.stop().await;
}
