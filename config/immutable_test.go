package config

import (
	"slices"
	"strings"
	"testing"
)

const lockedPair = `
regions: [a, b]
node: {region: a}
sources: {home: {path: /srv, region: a}}
backup:
  storage: {immutable_days: %own%}
  replication:
    enabled: true
    regions: [{primary: a, secondary: b}]
    storages:
      a: {s3: {enabled: true, bucket: one, region: r, object_lock: %lock%}}
      b: {s3: {enabled: true, bucket: two, region: r}, replicas: %copies%}
`

func locked(own, lock, copies string) string {
	return strings.NewReplacer("%own%", own, "%lock%", lock, "%copies%", copies).Replace(lockedPair)
}

func TestCopyImmutableDays(t *testing.T) {
	const plain, lock = `{s3: {enabled: true, bucket: copies, region: r`, `{s3: {enabled: true, bucket: copies, region: r, object_lock: governance`
	for name, c := range map[string]struct {
		text     string
		want     int
		unlocked bool
	}{
		"that of the repository":            {locked("30", "compliance", lock+"}}"), 30, false},
		"storage that keeps nothing":        {locked("30", "compliance", plain+"}}"), 0, true},
		"a number of its own":               {locked("30", "compliance", lock+"}, immutable_days: 90}"), 90, false},
		"not at all":                        {locked("30", "compliance", lock+"}, immutable_days: 0}"), 0, false},
		"its own, and the repository's not": {locked("0", `""`, lock+"}, immutable_days: 14}"), 14, false},
		"a directory":                       {locked("30", "compliance", "{local: {enabled: true, path: /copies}}"), 30, false},
		"beside the region's own":           {locked("30", "compliance", "{}"), 0, true},
		"nothing kept anywhere":             {locked("0", `""`, plain+"}}"), 0, false},
	} {
		cfg, err := load("c.yaml", []byte(c.text), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := cfg.CopyImmutableDays(RegionPair{"a", "b"}); got != c.want {
			t.Errorf("%s: %d days, want %d", name, got, c.want)
		}
		if why := cfg.CopyUnlocked(RegionPair{"a", "b"}); (why != "") != c.unlocked {
			t.Errorf("%s: %q", name, why)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"storage that keeps nothing": {locked("0", `""`, plain+"}, immutable_days: 14}"), "S3 needs object_lock"},
		"no such number":             {locked("0", `""`, lock+"}, immutable_days: -2}"), "must be from -1 to 3650"},
		"runs that come too late":    {strings.Replace(locked("0", `""`, lock+"}, immutable_days: 2}"), "enabled: true\n    regions", "enabled: true\n    interval: 1d\n    regions", 1), "half of it must be longer"},
	} {
		if _, err := load("c.yaml", []byte(c.text), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Storage that could keep objects and is never asked to is told of, and a copy that is
// not kept though the repository is.
func TestLocksThatLockNothing(t *testing.T) {
	const lock = `{s3: {enabled: true, bucket: copies, region: r, object_lock: governance}}`
	for name, c := range map[string]struct {
		text string
		want []string // parts of the notices, in order
	}{
		"both":              {locked("0", "governance", lock), []string{"backup.replication.storages.a: It has object_lock", "backup.replication.storages.b.replicas: It has object_lock"}},
		"neither":           {locked("0", `""`, "{}"), nil},
		"both asked":        {locked("30", "governance", lock), nil},
		"a copy left out":   {locked("30", "governance", "{}"), []string{"its copy a@b is not"}},
		"a copy on purpose": {locked("30", "governance", strings.Replace(lock, "}}", "}, immutable_days: 0}", 1)), []string{"replicas.immutable_days is 0"}},
		"a URL":             {`{sources: {}, backup: {storage: {url: "s3://one?region=r&lock=compliance"}}}`, []string{"backup.storage: It has object_lock"}},
		"Azure":             {`{backup: {storage: {azure_blob: {enabled: true, account: acc, container: one, immutability: unlocked}}}}`, []string{"It has immutability"}},
		"Google":            {`{backup: {storage: {gcs: {enabled: true, bucket: one, retention: locked}}}}`, []string{"It has retention"}},
		"a spread":          {`{backup: {storage: {disperse: {enabled: true, data: 2, parity: 1, storages: [{s3: {enabled: true, bucket: a, region: r, object_lock: compliance}}, {url: "file:///b"}, {url: "file:///c"}]}}}}`, []string{"backup.storage: It has object_lock"}},
	} {
		cfg, err := load("c.yaml", []byte(c.text), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, n := range cfg.Notices() {
			if strings.Contains(n.Message, "immutab") || strings.Contains(n.Message, "object_lock") {
				got = append(got, n.String())
			}
		}
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
