//! Both regions' buckets, as the standby's own nodes would open them.

use backstay_bucket::{BucketConfig, Role};
use backstay_cluster::Region;
use backstay_pair::{Dr, Pair, Side, derive};
use backstay_retry::Deadline;
use backstay_verify::{Environment, declared, effective};

/// The configuration of the bucket in this role. What the standby's HumioCluster declares wins over
/// what it should declare: it is what its nodes will meet.
pub(crate) async fn config(
    standby: &Region,
    pair: &Pair,
    role: Role,
    deadline: Deadline,
) -> Result<BucketConfig, String> {
    let told = |error: backstay_cluster::ClusterError| error.to_string();
    let cluster = standby.humio_cluster(&pair.cluster, deadline).await;
    let declared = declared(standby, &cluster.map_err(told)?).map_err(told)?;
    let derived = derive(pair, Side::Secondary, Dr::Standby, false);
    let variables = effective(&derived, &declared);
    let environment = Environment::read(standby, &variables, deadline).await;
    match environment.bucket(role) {
        Ok(Some(config)) => Ok(config),
        Ok(None) => Err(format!(
            "no variable of HumioCluster {} in {} names that bucket",
            pair.cluster,
            standby.name()
        )),
        Err(error) => Err(error.to_string()),
    }
}
