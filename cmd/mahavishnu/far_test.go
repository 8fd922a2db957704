package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/storagetest/servers"
)

// A storage that cannot be asked, or refuses, says nothing of what is stored: no exit
// code of damage, one error, and what to do.
func TestStorageThatCannotBeAskedIsNotDamaged(t *testing.T) {
	s := servers.S3(t)
	azure := servers.Azure(t)
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	run := func(args ...string) (int, string) {
		var out, errs strings.Builder
		code := execute(t.Context(), append(args, "--key", filepath.Join(dir, "key")), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	if code, text := run("key", "create"); code != 0 {
		t.Fatal(text)
	}
	at := func(bucket, endpoint string) string {
		return "s3://" + bucket + "/p?region=" + s.Region + "&endpoint=" + endpoint
	}
	for _, c := range []struct {
		name, place string
		access, key string
		want        int
		says        string
	}{
		{"no bucket", at("nobucket", s.Endpoint()), s.AccessKey, s.SecretKey, exitFailed, "create the bucket nobucket"},
		{"wrong secret", at(s.Bucket, s.Endpoint()), s.AccessKey, "wrong", exitFailed, "the secret key is wrong"},
		{"unknown key", at(s.Bucket, s.Endpoint()), "nobody", "wrong", exitFailed, "the access key is not known there"},
		{"no credentials", at(s.Bucket, s.Endpoint()), "", "", exitFailed, "set AWS_ACCESS_KEY_ID"},
		{"no TLS", at(s.Bucket, strings.Replace(s.Endpoint(), "http:", "https:", 1)), s.AccessKey, s.SecretKey, exitFailed, "does not speak TLS"},
		{"unknown host", at(s.Bucket, "https://nowhere.invalid"), s.AccessKey, s.SecretKey, exitFailed, "→"},
		{"another protocol", at(s.Bucket, azure.Endpoint()), s.AccessKey, s.SecretKey, exitFailed, "speaks the protocol of S3"},
		{"unknown parameter", "s3://" + s.Bucket + "/p?regoin=x", s.AccessKey, s.SecretKey, exitUsage, "region"},
		{"secret in the URL", "s3://user:pass@" + s.Bucket + "/p", s.AccessKey, s.SecretKey, exitUsage, "→"},
		{"a login in what is no URL", "s3//rootkey:hunter2pass@plain/x", s.AccessKey, s.SecretKey, exitUsage, "write it with a colon and two slashes"},
		{"a login behind one slash", "s3:/rootkey:hunter2pass@plain/x", s.AccessKey, s.SecretKey, exitUsage, "write it with a colon and two slashes"},
		{"unknown kind", "ftp://host/p", s.AccessKey, s.SecretKey, exitUsage, "unknown kind of storage"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", c.access)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.key)
		for _, command := range []string{"snapshots", "verify", "status", "doctor"} {
			if c.want != exitUsage && command != "snapshots" && command != "verify" {
				continue // they tell of more than the storage
			}
			code, text := run(command, "--repository", c.place)
			if code != c.want || !strings.Contains(text, c.says) || !strings.Contains(text, "→") {
				t.Errorf("%s: %s ends with %d, want %d and %q\n%s", c.name, command, code, c.want, c.says, text)
			}
			if strings.Contains(text, "hunter2") || strings.Contains(text, "rootkey") {
				t.Errorf("%s: %s shows a secret\n%s", c.name, command, text)
			}
			if strings.Contains(text, "config.copy") {
				t.Errorf("%s: %s tells it twice\n%s", c.name, command, text)
			}
		}
	}
}

// Who waits for a storage is told within seconds, and now and then again.
func TestWaitingForStorageIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		begun := time.Now()
		r := &retries{clock: clock.System(), since: begun, warnf: func(string, ...any) { told = append(told, time.Since(begun)) }}
		fail := func(waits ...time.Duration) {
			for _, wait := range waits {
				r.tell("s3://b/p", errMissed, wait)
				time.Sleep(wait)
			}
		}
		fail(time.Second, time.Second)
		if len(told) != 0 {
			t.Errorf("a short trouble is told after %v", told)
		}
		fail(4*time.Second, 10*time.Second, 20*time.Second, 20*time.Second)
		if !slices.Equal(told, []time.Duration{2 * time.Second, 36 * time.Second}) {
			t.Errorf("a long one is told after %v", told)
		}
		time.Sleep(time.Hour)
		told = nil
		fail(time.Second)
		if len(told) != 0 {
			t.Error("a trouble of its own counts from the one before")
		}
	})
}
