//! What the claims of etcd's members say about how it may start.

use std::collections::BTreeSet;

use crds::labels;

use super::super::super::{dereference::Claim, validate::ValidCluster};

/// Why etcd is not made, and what to do: its members would start from what another Cluster of
/// this name has left. A claim that says so, and one that says nothing, is not this Cluster's,
/// unless etcd has run already.
pub fn in_the_way(cluster: &ValidCluster) -> Option<String> {
    if cluster.etcd.is_some() {
        return None;
    }
    let members = cluster.etcd_members;
    let claims: Vec<_> = of_members(cluster).collect();
    let names = |which: &dyn Fn(&Claim) -> bool| {
        let which: Vec<_> = claims
            .iter()
            .filter(|claim| which(claim))
            .map(|claim| claim.name.as_str())
            .collect();
        (!which.is_empty()).then(|| which.join(" "))
    };
    if let Some(foreign) = names(&|claim| !claim.deleting && !is_own(cluster, claim)) {
        let (namespace, uid, label) = (&cluster.namespace, &cluster.uid, labels::CLUSTER_UID);
        return Some(format!(
            "there is data of another Cluster of this name, so etcd is not made. Either lose it: \
             kubectl -n {namespace} delete pvc {foreign}. Or go on with it: kubectl -n {namespace} \
             label --overwrite pvc {foreign} {label}={uid}. What each means stands in \
             docs/troubleshooting.md"
        ));
    }
    if let Some(ending) = names(&|claim| claim.deleting) {
        return Some(format!(
            "etcd is made as soon as these claims, which are being deleted, are gone: {ending}"
        ));
    }
    let left = cluster.claims.values().filter(|claim| !claim.deleting);
    let left = i32::try_from(left.count()).unwrap_or(i32::MAX);
    (are_taken_over(cluster) && left != members).then(|| {
        format!(
            "the data to go on with is that of {left} etcd members, and this Cluster would have \
             {members}: they would not find to each other, so etcd is not made. Set spec.replicas \
             to {left} until the Cluster is available, or delete what is not to be used: kubectl \
             -n {} get pvc -l app=k0smotron,component=etcd,cluster={}",
            cluster.namespace, cluster.name
        )
    })
}

/// Whether members will find data in their claims that somebody gave to this Cluster: those
/// without must not begin a store of their own beside it.
pub fn are_taken_over(cluster: &ValidCluster) -> bool {
    cluster.etcd.is_none()
        && cluster.etcd_config.is_none()
        && !cluster.was_available
        && of_members(cluster).any(|claim| is_own(cluster, claim))
}

/// The uids of the claims of members that were added to the others by hand, and may join them
/// without data.
pub fn added(cluster: &ValidCluster) -> BTreeSet<&str> {
    of_members(cluster)
        .filter(|claim| claim.added && !claim.deleting)
        .map(|claim| claim.uid.as_str())
        .collect()
}

fn of_members(cluster: &ValidCluster) -> impl Iterator<Item = &Claim> {
    let range = 0..cluster.etcd_members.max(0);
    cluster.claims.range(range).map(|(_, claim)| claim)
}

fn is_own(cluster: &ValidCluster, claim: &Claim) -> bool {
    claim
        .of
        .as_ref()
        .map_or(cluster.was_available, |uid| *uid == cluster.uid)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::cluster::{dereference::Observed, validate::validate};

    const OWN: Option<&str> = Some("1");
    const OLD: Option<&str> = Some("0");

    fn claims(of: &[Option<&str>]) -> Observed {
        let claims = of.iter().zip(0..).map(|(of, index)| {
            let claim = Claim {
                name: format!("c{index}"),
                uid: format!("u{index}"),
                of: of.map(ToOwned::to_owned),
                deleting: false,
                added: false,
            };
            (index, claim)
        });
        Observed {
            claims: claims.collect(),
            ..Observed::default()
        }
    }

    fn valid(replicas: i32, version: Option<&str>, observed: &Observed) -> ValidCluster {
        let cluster = serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
            "spec": {"replicas": replicas}, "status": {"version": version},
        }));
        let lifetime = jiff::SignedDuration::from_hours(1);
        validate(&cluster.unwrap(), observed, lifetime).unwrap()
    }

    const RAN: Option<&str> = Some("v1.36.3-k0s.2");

    #[rstest]
    #[case::a_new_one(1, None, &[], None)]
    #[case::of_another(1, None, &[OLD], Some("delete pvc c0. "))]
    #[case::of_nobody(1, None, &[None], Some("label --overwrite pvc c0 k0smotron.io/cluster-uid=1. "))]
    #[case::one_of_three(3, None, &[OLD], Some("delete pvc c0. "))]
    #[case::three_of_one(1, None, &[OLD, OLD, OLD], Some("delete pvc c0. "))]
    #[case::only_more_than_it_has(1, None, &[], None)]
    #[case::taken_over(1, None, &[OWN], None)]
    #[case::all_taken_over(3, None, &[OWN, OWN, OWN], None)]
    #[case::some_taken_over(3, None, &[OWN, OLD, OWN], Some("delete pvc c1. "))]
    #[case::one_taken_over_of_three(1, None, &[OWN, OLD, OLD], Some("of 3 etcd members"))]
    #[case::three_to_be_and_one_taken_over(3, None, &[OWN], Some("of 1 etcd members"))]
    #[case::ran_under_an_earlier_release(1, RAN, &[None], None)]
    #[case::ran_and_lost_one(3, RAN, &[OWN, OWN], None)]
    #[case::ran_and_somebody_put_another_there(1, RAN, &[OLD], Some("delete pvc c0. "))]
    fn etcd_is_made_beside_claims_of_its_own_only(
        #[case] replicas: i32,
        #[case] version: Option<&str>,
        #[case] of: &[Option<&str>],
        #[case] said: Option<&str>,
    ) {
        let found = in_the_way(&valid(replicas, version, &claims(of)));
        match said {
            None => assert_eq!(found, None),
            Some(said) => assert!(
                found.as_ref().is_some_and(|f| f.contains(said)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn claims_on_their_way_out_are_waited_for() {
        let mut observed = claims(&[OLD, OLD]);
        observed.claims.get_mut(&0).unwrap().deleting = true;
        let found = in_the_way(&valid(3, None, &observed)).unwrap();
        assert!(found.contains("delete pvc c1. "), "{found}");
        observed.claims.get_mut(&1).unwrap().deleting = true;
        let found = in_the_way(&valid(3, None, &observed)).unwrap();
        assert!(found.ends_with("are gone: c0 c1"), "{found}");
    }

    #[test]
    fn an_etcd_that_exists_goes_on_whatever_its_claims_say() {
        let observed = Observed {
            etcd: Some(StatefulSet::default()),
            ..claims(&[OLD])
        };
        assert_eq!(in_the_way(&valid(1, None, &observed)), None);
    }

    /// The StatefulSet was deleted by hand while its pods started: its claims may be empty.
    #[test]
    fn claims_of_an_etcd_that_has_begun_are_not_taken_over() {
        let mut observed = claims(&[OWN]);
        assert!(are_taken_over(&valid(1, None, &observed)));
        observed.etcd_config = serde_json::from_value(json!({"data": {}})).unwrap();
        assert!(!are_taken_over(&valid(1, None, &observed)));
        assert_eq!(in_the_way(&valid(3, None, &observed)), None);
    }
}
