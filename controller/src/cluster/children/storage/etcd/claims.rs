//! What the claims of etcd's members say about how it may start.

use std::collections::BTreeSet;

use crds::v1beta2::odd_etcd_members;
use crds::{labels, names};

use crate::cluster::dereference::Claim;
use crate::cluster::validate::ValidCluster;

/// Why etcd is not made, and what to do: its members would start from what another Cluster of
/// this name has left. A claim that says so, and one that says nothing, is not this Cluster's,
/// unless etcd has run already.
pub fn in_the_way(cluster: &ValidCluster) -> Option<String> {
    if cluster.etcd.is_some() {
        return None;
    }
    let foreign = |claim: &Claim| !claim.deleting && !is_own(cluster, claim);
    // Those of more members than it has are no matter, unless they are of the same data.
    if of_members(cluster).any(foreign)
        || (are_taken_over(cluster) && cluster.claims.values().any(foreign))
    {
        let all = || cluster.claims.values().filter(|claim| foreign(claim));
        // Upstream labels none, and this may be the Cluster's own after all.
        let whose = if all().any(|claim| claim.of.is_none()) {
            "data that does not say which Cluster it belongs to, this one or another of its name"
        } else {
            "data of another Cluster of this name"
        };
        let foreign = names_of(all());
        let (namespace, uid, label) = (&cluster.namespace, &cluster.uid, labels::CLUSTER_UID);
        return Some(format!(
            "there is {whose}, so etcd is not created. Either keep it: kubectl -n {namespace} \
             label --overwrite pvc {foreign} {label}={uid}. Or delete it: kubectl -n {namespace} \
             delete pvc {foreign}. See docs/troubleshooting.md for what each means"
        ));
    }
    let ending = names_of(of_members(cluster).filter(|claim| claim.deleting));
    if !ending.is_empty() {
        return Some(format!(
            "etcd is created as soon as these claims, which are being deleted, are gone: {ending}"
        ));
    }
    if are_taken_over(cluster) {
        incomplete(cluster)
    } else {
        None
    }
}

/// What is wrong with the claims that were given to this Cluster: a member without data beside
/// them serves nothing, or an empty store.
fn incomplete(cluster: &ValidCluster) -> Option<String> {
    let members = cluster.etcd_members;
    let given: BTreeSet<i32> = given(cluster).map(|(index, _)| index).collect();
    let left_out = |members: i32| -> BTreeSet<i32> {
        (0..members)
            .filter(|index| !given.contains(index))
            .collect()
    };
    let surplus: BTreeSet<i32> = given.range(members..).copied().collect();
    let listed = |what: &str, which: &BTreeSet<i32>| {
        let claims = which
            .iter()
            .map(|index| names::etcd_claim(&cluster.name, *index))
            .collect::<Vec<_>>()
            .join(" ");
        (!which.is_empty()).then(|| format!("{what} {claims}"))
    };
    let wrong = [
        listed("missing:", &left_out(members)),
        listed("surplus:", &surplus),
    ];
    let wrong = wrong.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if wrong.is_empty() {
        return None;
    }
    let had = odd_etcd_members(*given.last()? + 1);
    let advice = [
        (had != members).then(|| format!("set spec.replicas to {had} until it is available")),
        listed("restore", &left_out(had)),
    ];
    let advice = advice
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" and ");
    Some(format!(
        "the data to start with is not that of all {members} etcd members of this Cluster, so etcd is \
         not created ({wrong}). Either {advice}; or delete all of it: kubectl -n {} delete pvc {}. \
         Fewer than half of the members never start. See docs/troubleshooting.md for what each means",
        cluster.namespace,
        names_of(
            cluster
                .claims
                .values()
                .filter(|claim| is_own(cluster, claim))
        ),
    ))
}

/// Whether members will find data in claims that somebody gave to this Cluster: those without must
/// not begin a store of their own beside it.
pub fn are_taken_over(cluster: &ValidCluster) -> bool {
    cluster.etcd.is_none()
        && cluster.etcd_config.is_none()
        && !cluster.was_available
        && given(cluster).next().is_some()
}

/// The uids of the claims of members that were added to the others by hand, and may join them
/// without data.
pub fn added(cluster: &ValidCluster) -> BTreeSet<&str> {
    of_members(cluster)
        .filter(|claim| claim.added && !claim.deleting)
        .map(|claim| claim.uid.as_str())
        .collect()
}

/// The claims that are this Cluster's, also of more members than it has.
fn given(cluster: &ValidCluster) -> impl Iterator<Item = (i32, &Claim)> {
    let all = cluster.claims.iter();
    all.filter(|(_, claim)| !claim.deleting && is_own(cluster, claim))
        .map(|(index, claim)| (*index, claim))
}

fn names_of<'a>(claims: impl Iterator<Item = &'a Claim>) -> String {
    claims
        .map(|claim| claim.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn of_members(cluster: &ValidCluster) -> impl Iterator<Item = &Claim> {
    let range = 0..cluster.etcd_members.max(0);
    cluster.claims.range(range).map(|(_, claim)| claim)
}

fn is_own(cluster: &ValidCluster, claim: &Claim) -> bool {
    claim.of.as_ref().map_or_else(
        || cluster.was_available || super::initial::says_existing(cluster),
        |uid| *uid == cluster.uid,
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::cluster::dereference::Observed;
    use crate::cluster::fixtures::valid;

    const OWN: Option<&str> = Some("1");
    const OLD: Option<&str> = Some("0");
    /// There is no claim of this number.
    const GONE: Option<&str> = Some("");

    fn claims(of: &[Option<&str>]) -> Observed {
        let there = of.iter().zip(0..).filter(|(of, _)| **of != GONE);
        let claims = there.map(|(of, index)| {
            let claim = Claim {
                name: names::etcd_claim("demo", index),
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

    const RAN: Option<&str> = Some("v1.36.3-k0s.2");

    #[rstest]
    #[case::a_new_one(1, None, &[], None)]
    #[case::of_another(1, None, &[OLD], Some("there is data of another Cluster of this name, so"))]
    #[case::of_nobody(1, None, &[None], Some("does not say which Cluster it belongs to, this one or another of its name, so etcd is not created. Either keep it: kubectl -n ns label --overwrite pvc etcd-data-kmc-demo-etcd-0 k0smotron.io/cluster-uid=1. "))]
    #[case::one_of_three(3, None, &[OLD], Some("delete pvc etcd-data-kmc-demo-etcd-0. "))]
    #[case::three_of_one(1, None, &[OLD, OLD, OLD], Some("delete pvc etcd-data-kmc-demo-etcd-0 etcd-data-kmc-demo-etcd-1 etcd-data-kmc-demo-etcd-2. "))]
    #[case::only_more_than_it_has(1, None, &[GONE, OLD, OLD], None)]
    #[case::taken_over(1, None, &[OWN], None)]
    #[case::all_taken_over(3, None, &[OWN, OWN, OWN], None)]
    #[case::some_taken_over(3, None, &[OWN, OLD, OWN], Some("delete pvc etcd-data-kmc-demo-etcd-1. "))]
    #[case::one_taken_over_of_three(1, None, &[OWN, OLD, OLD], Some("delete pvc etcd-data-kmc-demo-etcd-1 etcd-data-kmc-demo-etcd-2. "))]
    #[case::three_to_be_and_one_taken_over(3, None, &[OWN], Some("(missing: etcd-data-kmc-demo-etcd-1 etcd-data-kmc-demo-etcd-2). Either set spec.replicas to 1 until it is available; or delete all of it: kubectl -n ns delete pvc etcd-data-kmc-demo-etcd-0. Fewer"))]
    #[case::one_to_be_and_three_taken_over(1, None, &[OWN, OWN, OWN], Some("(surplus: etcd-data-kmc-demo-etcd-1 etcd-data-kmc-demo-etcd-2). Either set spec.replicas to 3 until it is available; or"))]
    #[case::the_last_is_left_and_one_to_be(1, None, &[GONE, GONE, OWN], Some("(missing: etcd-data-kmc-demo-etcd-0, surplus: etcd-data-kmc-demo-etcd-2). Either set spec.replicas to 3 until it is available and restore etcd-data-kmc-demo-etcd-0 etcd-data-kmc-demo-etcd-1; or"))]
    #[case::two_are_left_and_one_to_be(1, None, &[OWN, OWN], Some("(surplus: etcd-data-kmc-demo-etcd-1). Either set spec.replicas to 3 until it is available and restore etcd-data-kmc-demo-etcd-2; or"))]
    #[case::two_are_left(3, None, &[OWN, OWN], Some("(missing: etcd-data-kmc-demo-etcd-2). Either restore etcd-data-kmc-demo-etcd-2; or"))]
    #[case::one_is_missing_between(3, None, &[OWN, OWN, GONE, OWN], Some("(missing: etcd-data-kmc-demo-etcd-2, surplus: etcd-data-kmc-demo-etcd-3). Either set spec.replicas to 5"))]
    #[case::ran_under_an_earlier_release(1, RAN, &[None], None)]
    #[case::ran_and_lost_one(3, RAN, &[OWN, OWN], None)]
    #[case::ran_and_somebody_put_another_there(1, RAN, &[OLD], Some("delete pvc etcd-data-kmc-demo-etcd-0. "))]
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
    fn claims_that_are_being_deleted_are_waited_for() {
        let mut observed = claims(&[OLD, OLD]);
        observed.claims.get_mut(&0).unwrap().deleting = true;
        let found = in_the_way(&valid(3, None, &observed)).unwrap();
        assert!(
            found.contains("delete pvc etcd-data-kmc-demo-etcd-1. "),
            "{found}"
        );
        observed.claims.get_mut(&1).unwrap().deleting = true;
        let found = in_the_way(&valid(3, None, &observed)).unwrap();
        assert!(
            found.ends_with("are gone: etcd-data-kmc-demo-etcd-0 etcd-data-kmc-demo-etcd-1"),
            "{found}"
        );
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

    /// Of an earlier release, and neither its status nor its StatefulSet is there any more.
    #[rstest]
    #[case::it_served("existing", true)]
    #[case::it_had_begun("new", false)]
    fn claims_without_a_label_are_its_own_when_its_members_were_told_so(
        #[case] state: &str,
        #[case] own: bool,
    ) {
        let mut observed = claims(&[None, OWN, OWN]);
        let config = json!({"data": {"ETCD_INITIAL_CLUSTER_STATE": state}});
        observed.etcd_config = serde_json::from_value(config).unwrap();
        assert_eq!(in_the_way(&valid(3, None, &observed)).is_none(), own);
    }

    #[test]
    fn claims_on_their_way_out_are_not_taken_over() {
        let mut observed = claims(&[GONE, GONE, OWN]);
        observed.claims.get_mut(&2).unwrap().deleting = true;
        assert!(!are_taken_over(&valid(1, None, &observed)));
    }
}
