//! The volumes of a pod: folders of this machine, and what stands for mount paths.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, KeyToPath, Pod, Volume};

use crate::claims::Claims;
use crate::environment::{Holder, Values};
use crate::paths::Mounts;
use crate::sources::Sources;

/// Why a volume is not there yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("MountVolume.SetUp failed for volume {volume:?}: {} {name:?} not found", .holder.resource())]
    NoHolder {
        volume: String,
        holder: Holder,
        name: String,
    },
    #[error(
        "MountVolume.SetUp failed for volume {volume:?}: references non-existent key {key:?} of {name:?}"
    )]
    NoKey {
        volume: String,
        name: String,
        key: String,
    },
    #[error(
        "MountVolume.SetUp failed for volume {volume:?}: persistentvolumeclaim {name:?} not found"
    )]
    NoClaim { volume: String, name: String },
    #[error(
        "volume {volume:?}: only emptyDir, ephemeral, persistentVolumeClaim, secret and configMap are supported"
    )]
    Kind { volume: String },
    #[error("volumeMount {mount:?}: the pod has no volume {volume:?}")]
    NoVolume { mount: String, volume: String },
    #[error("{path:?} must be a path within the volume, without ..")]
    Path { path: String },
    #[error("mountPath {0:?} must be absolute and not /")]
    MountPath(String),
    #[error("cannot make {path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the API server cannot be asked: {0}")]
    Ask(#[from] kube::Error),
}

/// The folder of each volume, by its name.
pub(crate) type Folders = BTreeMap<String, PathBuf>;

/// Makes the volumes of a pod in `folder`, which is the pod's own.
pub(crate) async fn prepare(
    pod: &Pod,
    folder: &Path,
    sources: &Sources,
    claims: &Claims,
) -> Result<Folders, VolumeError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let mut folders = Folders::new();
    for volume in volumes {
        let own = folder.join("volumes").join(segment(&volume.name)?);
        let made = if let Some(name) = claim_name(pod, volume) {
            let found = claims.folder(namespace, &name, uid).await?;
            found.ok_or_else(|| VolumeError::NoClaim {
                volume: volume.name.clone(),
                name,
            })?
        } else if let Some(held) = held(volume) {
            let values = sources.read(held.holder, namespace, &held.name).await?;
            if values.is_none() && !held.optional {
                return Err(VolumeError::NoHolder {
                    volume: volume.name.clone(),
                    holder: held.holder,
                    name: held.name,
                });
            }
            let files = files(&volume.name, &held, values.unwrap_or_default())?;
            write(&own, &files)?;
            own
        } else if volume.empty_dir.is_some() {
            make(&own)?;
            own
        } else {
            let volume = volume.name.clone();
            return Err(VolumeError::Kind { volume });
        };
        folders.insert(volume.name.clone(), made);
    }
    Ok(folders)
}

/// The claim of a volume, where it has one. That of an ephemeral one is made by the controllers, and
/// called as the pod and the volume.
fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(claim.claim_name.clone());
    }
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    let is_ephemeral = volume.ephemeral.is_some();
    is_ephemeral.then(|| format!("{pod}-{}", volume.name))
}

/// A volume made of a secret or a config map.
struct Held {
    holder: Holder,
    name: String,
    items: Option<Vec<KeyToPath>>,
    optional: bool,
}

fn held(volume: &Volume) -> Option<Held> {
    if let Some(secret) = &volume.secret {
        return Some(Held {
            holder: Holder::Secret,
            name: secret.secret_name.clone().unwrap_or_default(),
            items: secret.items.clone(),
            optional: secret.optional == Some(true),
        });
    }
    let map = volume.config_map.as_ref()?;
    Some(Held {
        holder: Holder::ConfigMap,
        name: map.name.clone(),
        items: map.items.clone(),
        optional: map.optional == Some(true),
    })
}

/// The files of a volume: paths and contents.
fn files(
    volume: &str,
    held: &Held,
    mut values: Values,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, VolumeError> {
    let Some(items) = &held.items else {
        let all = values.into_iter();
        return all
            .map(|(key, value)| Ok((segment(&key)?, value)))
            .collect();
    };
    let mut files = BTreeMap::new();
    for item in items {
        match values.remove(&item.key) {
            Some(value) => {
                files.insert(within(&item.path)?, value);
            }
            None if held.optional => {}
            None => {
                return Err(VolumeError::NoKey {
                    volume: volume.to_owned(),
                    name: held.name.clone(),
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(files)
}

/// A relative path that stays where it begins.
fn within(path: &str) -> Result<PathBuf, VolumeError> {
    let whole = Path::new(path);
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.is_empty() || path.contains('\0') || !whole.components().all(normal) {
        let path = path.to_owned();
        return Err(VolumeError::Path { path });
    }
    Ok(whole.to_owned())
}

/// The same, of one segment.
fn segment(name: &str) -> Result<PathBuf, VolumeError> {
    if name.contains('/') || name == "." {
        let path = name.to_owned();
        return Err(VolumeError::Path { path });
    }
    within(name)
}

/// Folders for their owner only: there are secrets in them.
pub(crate) fn make(folder: &Path) -> Result<(), VolumeError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|source| VolumeError::File {
        path: folder.to_owned(),
        source,
    })
}

fn write(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), VolumeError> {
    make(folder)?;
    for (path, content) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            make(parent)?;
        }
        let written = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, content));
        written.map_err(|source| VolumeError::File { path, source })?;
    }
    Ok(())
}

/// What stands for the mount paths of a container.
pub(crate) fn mounts(container: &Container, folders: &Folders) -> Result<Mounts, VolumeError> {
    let mut pairs = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let path = &mount.mount_path;
        if !path.starts_with('/') || path.trim_end_matches('/').is_empty() {
            return Err(VolumeError::MountPath(path.clone()));
        }
        let folder = folders
            .get(&mount.name)
            .ok_or_else(|| VolumeError::NoVolume {
                mount: path.clone(),
                volume: mount.name.clone(),
            })?;
        let folder = match mount.sub_path.as_deref() {
            None | Some("") => folder.clone(),
            Some(below) => {
                let folder = folder.join(within(below)?);
                // One file of a secret can be mounted, too.
                if !folder.exists() {
                    make(&folder)?;
                }
                folder
            }
        };
        pairs.push((path.clone(), folder.display().to_string()));
    }
    Ok(Mounts::new(pairs))
}

#[cfg(test)]
mod tests;
