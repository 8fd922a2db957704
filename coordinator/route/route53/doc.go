// Package route53 leads clients by records in a hosted zone of Amazon Route 53.
//
// # How a change is fenced
//
// As in package rfc2136, a TXT record at _epoch.NAME holds the mark "epoch=42"
// "member=pg1". A change is one batch, which Route 53 applies whole or not at all:
// it deletes the mark and the records exactly as they were read, and creates the
// new ones. Deleting what is not there exactly, or creating what is there, fails
// the batch with InvalidChangeBatch. So of two coordinators that read the same mark
// one is refused by the service, reads again, and finds either that its epoch is
// the higher one or that it is stale.
//
// The records belong to the router: plain ones, without routing policy. Records
// that share the name in a weighted or latency policy are refused, not replaced.
//
// # What the service promises
//
// Point returns when Route 53 has accepted the batch. Its own name servers know it
// within a minute as a rule, and resolvers keep what they have for the TTL: count
// both into the recovery time that clients see, or use a front. Changes go through
// the service's control plane, which is in one region (us-east-1): a failover that
// has to work while that region does not needs another way.
//
// The identity needs route53:ListResourceRecordSets and
// route53:ChangeResourceRecordSets on the zone; conditions can narrow the latter to
// the two names (route53:ChangeResourceRecordSetsNormalizedRecordNames).
package route53
