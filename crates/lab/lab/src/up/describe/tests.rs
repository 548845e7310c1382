use super::*;
use crate::up::store::Wanted;

fn options(pools: bool, memory: u64) -> LabOptions {
    LabOptions {
        place: Place {
            folder: "/lab".into(),
            block: 71,
        },
        program: "backstay".into(),
        node: None,
        store: Wanted::Folder,
        pools,
        memory,
        times: Times::default(),
    }
}

#[test]
fn all_nodes_together_have_what_they_may_have() {
    for (pools, memory, each) in [
        (true, 6 << 30, 1_u64 << 30),
        (false, 6 << 30, 3 << 30),
        (true, 7, 64 << 20),
        (true, 600 << 20, 100 << 20),
    ] {
        let options = options(pools, memory);
        let text = describe(&options.place, &Store::Folder, &options);
        let told = format!("BACKSTAY_MEMORY_BYTES = \"{each}\"\n");
        assert!(text.contains(&told), "{told}: {text}");
    }
}
