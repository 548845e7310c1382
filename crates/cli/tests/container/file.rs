//! What the Containerfile says of the image, that is of its last stage.

use std::path::PathBuf;

/// An instruction, its lines put together.
type Instruction = (String, String);

/// A file or folder of the image.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    /// Where it is in the stage before.
    pub from: PathBuf,
    /// Where it is in the image.
    pub to: PathBuf,
    /// The owner, where it is not root.
    pub owner: Option<String>,
}

#[derive(Debug, Default)]
pub struct Image {
    /// Base images, in order.
    pub bases: Vec<String>,
    /// What the stages before run.
    pub built_by: Vec<String>,
    pub copied: Vec<Copied>,
    pub environment: Vec<(String, String)>,
    pub folder: String,
    pub user: String,
    pub volumes: Vec<String>,
    pub entrypoint: Vec<String>,
}

fn instructions(text: &str) -> Vec<Instruction> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            (name.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

/// Reads the stage of that name, and those before it.
pub fn read_stage(text: &str, name: &str) -> Image {
    let begins = text.find(&format!(" AS {name}\n")).unwrap();
    let ends = text[begins..].find("\nFROM ").unwrap();
    read(&text[..begins + ends])
}

/// Reads a Containerfile to its last stage. An instruction that this does not know fails: the test would not do it.
pub fn read(text: &str) -> Image {
    let mut image = Image::default();
    for (name, rest) in instructions(text) {
        if name == "FROM" {
            let base = rest.split(' ').next().unwrap().to_owned();
            let (bases, built_by) = (image.bases, image.built_by);
            image = Image {
                bases,
                built_by,
                ..Image::default()
            };
            image.bases.push(base);
            continue;
        }
        match name.as_str() {
            "RUN" => image.built_by.push(rest),
            "COPY" => image.copied.extend(copied(&rest)),
            "ENV" => {
                let (name, value) = rest.split_once('=').unwrap();
                image.environment.push((name.to_owned(), value.to_owned()));
            }
            "WORKDIR" => image.folder = rest,
            "USER" => image.user = rest,
            "VOLUME" => image.volumes.push(rest),
            "ENTRYPOINT" => image.entrypoint = serde_json::from_str(&rest).unwrap(),
            "EXPOSE" => {}
            other => panic!("this test does not know {other}"),
        }
    }
    image
}

/// Of another stage; what comes from the checkout is for the build alone.
fn copied(rest: &str) -> Option<Copied> {
    let flag = |name: &str| {
        let mut words = rest.split(' ');
        words
            .find_map(|word| word.strip_prefix(name))
            .map(str::to_owned)
    };
    flag("--from=")?;
    let mut paths = rest.split(' ').filter(|word| !word.starts_with("--"));
    let mut next = || PathBuf::from(paths.next().unwrap());
    Some(Copied {
        from: next(),
        to: next(),
        owner: flag("--chown="),
    })
}
