use serde_json::json;

use super::*;

fn explained(spec: &Value, status: &Value) -> String {
    let policy = json!({"metadata": {"name": "tenants", "generation": 2},
        "spec": spec, "status": status});
    explain(&serde_json::from_value(policy).unwrap())
}

#[test]
fn every_field_has_its_sentence() {
    let spec = json!({
        "namespaceSelector": {"matchLabels": {"tenant": "true"}},
        "action": "Warn",
        "versions": [">=1.35.0 <1.37.0", "1.34.9"],
        "images": ["quay.io/k0sproject", "r.example.org:5000"],
        "serviceTypes": ["ClusterIP", "LoadBalancer"],
        "storageTypes": ["etcd"],
        "persistenceTypes": ["pvc", "emptyDir"],
        "replicas": {"min": 1, "max": 3},
        "resources": {
            "controlPlane": {
                "requests": {"cpu": {"min": "100m", "max": "2"}, "memory": {"min": "256Mi"}},
                "limits": {"memory": {"max": "4Gi"}},
            },
            "etcd": {"requests": {"cpu": {"min": "1", "max": "1"}, "memory": {}}},
        },
        "requiredLabels": [
            {"key": "team", "pattern": "[a-z]+"},
            {"key": "stage", "values": ["test", "production"]},
        ],
        "requiredAnnotations": [{"key": "example.org/owner"}],
        "namespaceLimits": {"clusters": 1, "replicas": 9},
        "maxTokenLifetime": "24h",
        "forbiddenFields": ["spec.patches", "spec.mounts[*].hostPath"],
        "defaults": {
            "labels": {"team": "none"},
            "annotations": {"example.org/owner": "nobody"},
            "spec": {"persistence": {"type": "pvc"}, "controlPlaneFlags": ["--debug"]},
        },
        "rules": [
            {"name": "odd", "expression": "object.spec.replicas % 2 == 1"},
            {"name": "soon", "kinds": ["Cluster", "JoinTokenRequest"], "action": "Audit",
                "expression": "has(object.spec.expiry) &&\n  object.spec.expiry != '0s'\n",
                "fieldPath": "spec.expiry", "message": "name an end",
                "messageExpression": "'name an end, ' + request.userInfo.username"},
            {"name": "named", "expression": "true", "fieldPath": "metadata.name"},
        ],
    });
    let status = json!({
        "violations": 3, "lastAudit": "2026-11-22T10:00:00Z", "observedGeneration": 2,
        "violating": [
            {"kind": "Cluster", "namespace": "team-a", "name": "demo",
                "message": "spec.replicas: 4 is not allowed"},
            {"kind": "JoinTokenRequest", "namespace": "team-a", "name": "for-ever",
                "message": "spec.expiry: 0s is not allowed"},
        ],
    });
    insta::assert_snapshot!(explained(&spec, &status), @r#"
    Policy tenants holds in namespaces with tenant=true. What breaks it is accepted, and its author is warned.
    It allows only:
      - Kubernetes in the range ">=1.35.0 <1.37.0" or "1.34.9" (spec.version)
      - images from quay.io/k0sproject or r.example.org:5000 (spec.image, etcd's and the helpers')
      - Services of type ClusterIP or LoadBalancer (spec.service.type)
      - storage of type etcd (spec.storage.type)
      - persistence of type pvc or emptyDir (spec.persistence.type)
      - from 1 to 3 control-plane pods (spec.replicas)
      - control-plane pods whose cpu request is from 100m to 2 (spec.resources)
      - control-plane pods whose memory request is at least 256Mi (spec.resources)
      - control-plane pods whose memory limit is at most 4Gi (spec.resources)
      - etcd pods whose cpu request is exactly 1 (spec.storage.etcd.resources)
      - 1 Cluster in a namespace at most
      - 9 control-plane pods of all Clusters in a namespace at most
      - join tokens that are valid for 24h at most (spec.expiry)
    It requires:
      - the label team that matches [a-z]+
      - the label stage with test or production
      - the annotation example.org/owner
    It forbids these fields, in Clusters and JoinTokenRequests:
      - spec.patches
      - spec.mounts[*].hostPath
    Where a new Cluster says nothing, it gets:
      - the label team=none
      - the annotation example.org/owner=nobody
      - spec.controlPlaneFlags: ["--debug"]
      - spec.persistence.type: "pvc"
    It asks besides (CEL; true is what is allowed):
      - odd:
          object.spec.replicas % 2 == 1
      - soon (of Clusters and JoinTokenRequests; what breaks it is counted):
          has(object.spec.expiry) &&
            object.spec.expiry != '0s'
        says of spec.expiry: what 'name an end, ' + request.userInfo.username makes, or "name an end"
      - named:
          true
        is about metadata.name
    3 existing objects break it (looked at 2026-11-22T10:00:00Z):
      - Cluster team-a/demo: spec.replicas: 4 is not allowed
      - JoinTokenRequest team-a/for-ever: spec.expiry: 0s is not allowed
      - and 1 more
    "#);
}

#[test]
fn a_policy_without_rules_says_so() {
    insta::assert_snapshot!(explained(&json!({}), &json!({})), @r"
    Policy tenants holds in every namespace. What breaks it is refused.
    It says nothing: it has neither rules nor defaults.
    Nobody has looked yet at what exists and breaks it.
    ");
}

#[test]
fn what_is_broken_or_out_of_date_is_said_first() {
    let spec = json!({"action": "Audit", "replicas": {"max": 1}});
    let broken = json!({"type": "Ready", "status": "False", "reason": "Unreadable",
        "message": "spec.versions[0]: must be a range", "lastTransitionTime": "2026-11-22T10:00:00Z"});
    let status = json!({"violations": 0, "observedGeneration": 1, "conditions": [broken]});
    insta::assert_snapshot!(explained(&spec, &status), @r"
    Policy tenants holds in every namespace. What breaks it is accepted, and counted here.
    It is invalid, so every new object counts as breaking it: spec.versions[0]: must be a range
    It was changed since existing objects were looked at.
    It allows only:
      - at most 1 control-plane pod (spec.replicas)
    Nothing that exists breaks it.
    ");
}
