package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
)

// Everything of a repository is deleted by somebody who has the credentials of a
// bucket with Object Lock. Commands say that there was a repository and what to do, and
// a repair brings it back, but for what prune had deleted.
func TestWhatAnIntruderDeletesComesBack(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	place := s.URL("p") + "&lock=compliance"
	data, tree, file := filepath.Join(dir, "data"), filepath.Join(dir, "tree"), filepath.Join(dir, "c.yaml")
	text := fmt.Sprintf(`regions: [a]
node: {region: a, name: n, data_dir: %q, cache_dir: %q}
backup:
  encryption: {key_path: %q}
  storage:
    immutable_days: 30
    local: {enabled: false}
    s3: {enabled: true, bucket: %s, prefix: p, endpoint: %q, region: %s, object_lock: compliance}
`, data, filepath.Join(dir, "cache"), filepath.Join(dir, "key"), s.Bucket, s.Endpoint(), s.Region)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "a"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, says string, args ...string) {
		t.Helper()
		var out, errs strings.Builder
		code := execute(t.Context(), append(args, "--config", file), strings.NewReader(""), &out, &errs)
		if said := out.String() + errs.String(); code != want || !strings.Contains(said, says) {
			t.Errorf("%q ends with %d, want %d and %q\n%s", args, code, want, says, said)
		}
	}
	run(0, "", "key", "create")
	run(0, "", "backup", tree, "--direct")
	be, err := storage.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	deleted := 0
	var overwritten []string
	err = be.List(t.Context(), "", func(info storage.Info) error {
		if deleted++; info.Name == "config" || info.Name == "config.copy" || strings.HasPrefix(info.Name, "packs/") {
			overwritten = append(overwritten, info.Name)
		}
		s.Delete("p/" + info.Name)
		return nil
	})
	if err != nil || deleted == 0 {
		t.Fatalf("%d objects deleted, %v", deleted, err)
	}
	for _, command := range [][]string{{"snapshots"}, {"verify"}, {"doctor"}, {"backup", tree, "--direct"}} {
		run(1, "and there was one", command...)
		run(1, "verify --repair", command...)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	run(1, "verify --repair", "backup", tree, "--direct")
	// Before that the intruder has written over some of it.
	for _, name := range overwritten {
		s.Put("p/"+name, "garbage")
		s.Delete("p/" + name)
	}
	run(0, "overwritten and deleted by somebody else; mended from an older version", "verify", "--repair", "--read-data", "100")
	run(0, "no problem found", "verify", "--read-data", "100")
	run(0, "", "restore", "latest", "--target", filepath.Join(dir, "back"))
}
