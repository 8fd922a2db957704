package config

import (
	"strings"
	"testing"

	"mahavishnu/fault"
)

func TestReplicaByName(t *testing.T) {
	c, _ := loadText(t, `
regions: [a, b, c, d]
node: {region: a}
backup:
  replication:
    regions: [{primary: a, secondary: b}, {primary: c, secondary: b}, {primary: c, secondary: d}, {primary: b, secondary: d}, {primary: b, secondary: c}]
    storages: {b: {url: "s3://b"}, d: {url: "s3://d"}}
`)
	for ref, want := range map[string]string{
		"b":   "a@b s3://b/replicas/a/", // this node's own, of several
		"c@b": "c@b s3://b/replicas/c/",
		"d":   "name one of c@d, b@d",
		"b@d": "b@d s3://d/replicas/b/",
		"a":   "there are a@b, c@b",
		"a@d": "no such copy",
		"c":   "not known where region c keeps it",
	} {
		pair, place, err := c.Replica(ref)
		got := pair.String() + " " + place.URL
		if err != nil {
			got = strings.Join(append([]string{err.Error()}, fault.Hints(err)...), "; ")
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}
