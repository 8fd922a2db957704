package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/storage/storagetest/servers"
)

// Secrets that open nothing, for runs that fail.
const (
	wrongKey     = "wrong-key-of-s3-0F3a"
	wrongSecret  = "wrong/secret+of-s3-7bC1"
	wrongToken   = "wrong-session-token-of-s3=="
	wrongSAS     = "sv=2024-11-04&ss=b&srt=co&sp=rl&se=2035-01-01T00:00:00Z&sig=wrong%2Fsignature%2Bof-azure%3D"
	wrongAccount = "d3Jvbmcga2V5IG9mIGF6dXJlLCB3aGljaCBvcGVucyBub3RoaW5nIGF0IGFsbA=="
	wrongGoogle  = "wrong-private-key-of-google"
	queueSecret  = "wrong-password-of-the-queue"
)

// vault is a system whose secrets lie in one directory, and whatever it said or
// wrote anywhere else.
type vault struct {
	*system
	s3      *servers.S3Server
	azure   *servers.AzureServer
	planted map[string]string // by what it is
	said    map[string]string // by who said it
	env     []string
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{system: newSystem(t, tree(t, corpus.Spec{Kind: corpus.Small, Files: 50, FileSize: 20000}), ""), s3: servers.S3(t), azure: servers.Azure(t), said: map[string]string{}}
	if err := os.Mkdir(filepath.Join(v.dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	ring := filepath.Join(v.dir, "secrets", "key")
	if err := os.Rename(v.access.KeyPath, ring); err != nil {
		t.Fatal(err)
	}
	v.access.KeyPath = ring
	v.planted = map[string]string{
		"S3 secret": v.s3.SecretKey, "S3 access key": v.s3.AccessKey, "Azure key": v.azure.Key,
		"wrong S3 access key": wrongKey, "wrong S3 secret": wrongSecret, "wrong S3 token": wrongToken,
		"wrong SAS": wrongSAS, "wrong signature": "wrong%2Fsignature%2Bof-azure%3D", "plain wrong signature": "wrong/signature+of-azure=",
		"wrong Azure key": wrongAccount, "wrong Google key": wrongGoogle, "password of the queue": queueSecret,
	}
	text, err := os.ReadFile(ring)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range regexp.MustCompile(`"(?:id_)?key": "([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		v.planted[fmt.Sprintf("key %d of the ring", i)] = m[1]
	}
	if len(v.planted) != 14 {
		t.Fatalf("the ring's keys were not found in its file: %d secrets", len(v.planted))
	}
	v.secret("s3", v.s3.SecretKey)
	v.secret("google", `{"type": "service_account", "project_id": "p", "private_key_id": "`+wrongGoogle+`", "private_key": "`+wrongGoogle+`", "client_email": "a@b.c", "token_uri": "https://127.0.0.1:1/token"}`)
	v.env = []string{"MAHAVISHNU_AZURE_ACCOUNT_KEY_US_1=" + v.azure.Key}
	return v
}

// secret writes a secret's file and returns its path.
func (v *vault) secret(name, text string) string {
	v.t.Helper()
	path := filepath.Join(v.dir, "secrets", name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

// node writes a configuration whose own storage is the given section.
func (v *vault) node(name, in, own, queue string) string {
	v.t.Helper()
	return v.secret(name+".yml", fmt.Sprintf(`
regions: [%[1]s, us-1]
node: {name: %[2]s, region: %[3]s, data_dir: %[4]q, listen: "", slots: 2, log_format: json, log_level: debug}
sources: {%[5]s: {path: %[6]q, region: any}}
jobs: {ack_wait: %[7]s, retry_first: 1s, max_attempts: 1}
nats: {%[8]s}
backup:
  encryption: {key_path: %[9]q}
  storage:
    retries: {attempts: 2, first: 20ms, max: 100ms, give_up: 2s}
  replication:
    enabled: true
    run_in: primary
    regions: [{primary: %[1]s, secondary: us-1}]
    storages:
      %[1]s: {%[10]s}
      us-1: {azure_blob: {enabled: true, container: %[11]s, account: %[12]s, endpoint: %[13]q}}
`, region, name, in, filepath.Join(v.dir, name), source, v.source, ackWait, queue, v.access.KeyPath, own,
		v.azure.Container, v.azure.Account, v.azure.Endpoint()))
}

// command runs a command to its end and keeps what it said.
func (v *vault) command(env []string, args ...string) int {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, mahavishnu, args...)
	cmd.Dir, cmd.Env = v.dir, append(append(os.Environ(), v.env...), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		v.t.Fatal(err)
	}
	v.said[fmt.Sprintf("%d: mahavishnu %s", len(v.said), strings.Join(args, " "))] = string(out)
	return cmd.ProcessState.ExitCode()
}

// begin starts a process that stays.
func (v *vault) begin(name string, args ...string) *running {
	for _, pair := range v.env {
		key, value, _ := strings.Cut(pair, "=")
		v.t.Setenv(key, value)
	}
	return v.start(name, args...)
}

// TestSecretsAreNowhere backs up to S3, copies to Azure, restores from there, and
// fails in every way that credentials can; then it looks for them in everything that
// was said and written: command outputs, logs, job records, events, caches, and the
// queue's own files.
func TestSecretsAreNowhere(t *testing.T) {
	v := newVault(t)
	good := fmt.Sprintf("s3: {enabled: true, bucket: %s, region: %s, endpoint: %q, access_key: %s, secret_key_file: s3}", v.s3.Bucket, v.s3.Region, v.s3.Endpoint(), v.s3.AccessKey)
	leader := v.node("leader", region, good, "listen: 127.0.0.1:0")
	up := v.begin("leader", "up", "--config", leader)
	v.until("the queue's address", func() bool {
		up.alive()
		text, err := os.ReadFile(filepath.Join(v.dir, "leader", "nats.url"))
		v.queue = strings.TrimSpace(string(text))
		return err == nil && v.queue != ""
	})
	b := v.bind(up)
	queue := fmt.Sprintf("url: %q", v.queue)
	client := v.node("client", region, good, queue)
	v.succeed(client)

	// Now with secrets that open nothing, at the same server.
	wrong := v.node("wrong", "us-1", good, queue)
	strange := []string{"MAHAVISHNU_AZURE_ACCOUNT_KEY_US_1=" + wrongAccount}
	worker := v.startWith(strange, "wrong", "worker", "--config", wrong)
	entry := v.ended(b, v.ask(b, "us-1", &messages.BackupSpec{Source: source}))
	if entry.State == messages.StateSucceeded || entry.Error == "" {
		t.Errorf("a backup with a wrong key ended %s: %q", entry.State, entry.Error)
	}
	v.fail(strange, queue)
	// And with right ones, at a server that is gone.
	v.azure.Stop()
	entry = v.ended(b, v.ask(b, region, &messages.ReplicateSpec{From: region, To: "us-1"}))
	if entry.State == messages.StateSucceeded || entry.Error == "" {
		t.Errorf("copying to a server that is gone ended %s: %q", entry.State, entry.Error)
	}
	v.command(nil, "jobs", "show", entry.Job.ID, "--config", client)
	v.command(nil, "replication", "status", "--config", client)
	v.keepRecords(b)
	for _, p := range []*running{worker, up} {
		p.signal(interrupt)
		p.wait()
		v.said["log of "+p.name] = p.log.String()
	}
	v.search()
}

// succeed runs what works.
func (v *vault) succeed(client string) {
	v.t.Helper()
	for _, args := range [][]string{
		{"config", "check"},
		{"config", "show"},
		{"config", "show", "--json"},
		{"backup", source, "--verbose"},
		{"replicate"},
		{"replicate", "--direct", "--json", "--verbose"},
		{"replication", "status"},
		{"restore", "latest", "--replica", "us-1", "--target", filepath.Join(v.dir, "restored")},
		{"verify", "--read-data", "100", "--verbose"},
		{"snapshots", "--json"},
		{"status", "--json"},
		{"doctor", "--json"},
		{"jobs", "list", "--json"},
		{"catalog", "list"},
	} {
		if code := v.command(nil, append(args, "--config", client)...); code != 0 {
			v.t.Errorf("mahavishnu %s: exit code %d\n%s", strings.Join(args, " "), code, v.last())
		}
	}
}

// fail runs what does not, with every kind of credentials.
func (v *vault) fail(strange []string, queue string) {
	v.t.Helper()
	closed := "http://127.0.0.1:1"
	nodes := map[string]string{
		"s3": fmt.Sprintf("s3: {enabled: true, bucket: %s, region: %s, endpoint: %q, access_key: %s, secret_key: %q, session_token: %q}",
			v.s3.Bucket, v.s3.Region, v.s3.Endpoint(), wrongKey, wrongSecret, wrongToken),
		"s3 gone": fmt.Sprintf("s3: {enabled: true, bucket: b-1, region: r-1, endpoint: %q, access_key: %s, secret_key: %q}", closed, wrongKey, wrongSecret),
		"sas":     fmt.Sprintf("azure_blob: {enabled: true, container: backups, account: %s, endpoint: %q, sas: %q}", v.azure.Account, v.azure.Endpoint(), wrongSAS),
		"sas gone": fmt.Sprintf("azure_blob: {enabled: true, container: backups, account: %s, endpoint: %q, sas: %q}", v.azure.Account,
			closed+"/"+v.azure.Account, wrongSAS),
		"google": fmt.Sprintf("gcs: {enabled: true, bucket: backups-1, endpoint: %q, credentials_file: google}", closed),
		"twice":  fmt.Sprintf("s3: {enabled: true, bucket: b-1, secret_key: %q, secret_key_file: s3}", wrongSecret),
		"url":    fmt.Sprintf("url: %q", "s3://"+wrongKey+":"+url.QueryEscape(wrongSecret)+"@b-1"),
		"signed": fmt.Sprintf("url: %q", "azblob://c-1?account=acc&"+wrongSAS),
		"typo":   fmt.Sprintf("s3: {enabled: true, bucket: b-1, acess_key: %q, secret_kye: %q}", wrongKey, wrongSecret),
	}
	for name, own := range nodes {
		path := v.node(strings.ReplaceAll(name, " ", "-"), region, own, queue)
		for _, args := range [][]string{
			{"backup", source, "--direct"}, {"snapshots"}, {"replicate", "--direct"}, {"doctor"}, {"config", "check"}, {"verify", "--scrub"}, {"replication", "status", "--json"},
		} {
			code := v.command(strange, append(args, "--config", path)...)
			if code == 0 && args[0] != "config" {
				v.t.Errorf("%s: mahavishnu %s succeeded", name, strings.Join(args, " "))
			}
		}
	}
	away := v.node("queue", region, "local: {enabled: true, path: nowhere}", fmt.Sprintf("url: %q, user: u, password: %s", "nats://"+freeAddress(v.t), queueSecret))
	for _, args := range [][]string{{"status"}, {"jobs", "list"}, {"doctor"}, {"backup", source}} {
		v.command(nil, append(args, "--config", away)...)
	}
	v.command(nil, "snapshots", "--repository", "s3://"+wrongKey+":"+url.QueryEscape(wrongSecret)+"@b-1/x?region=r", "--key", v.access.KeyPath)
	v.command(nil, "snapshots", "--repository", "azblob://c-1?account=acc&"+wrongSAS, "--key", v.access.KeyPath)
	// What a person typed is in the arguments, and so in the names here.
	for who, text := range v.said {
		if strings.Contains(who, "--repository") {
			delete(v.said, who)
			v.said[who[:2]+": mahavishnu snapshots with a secret in its URL"] = text
		}
	}
}

// ask puts a job into the queue.
func (v *vault) ask(b *bus.Bus, in string, spec messages.Spec) string {
	v.t.Helper()
	job := messages.NewJob(in, spec, time.Now())
	job.MaxAttempts = 1
	sent, err := b.Submit(v.t.Context(), job)
	if err != nil {
		v.t.Fatal(err)
	}
	return sent.ID
}

// startWith is start with more in the environment.
func (v *vault) startWith(env []string, name string, args ...string) *running {
	v.t.Helper()
	for _, pair := range env {
		key, value, _ := strings.Cut(pair, "=")
		v.t.Setenv(key, value)
	}
	p := v.start(name, args...)
	for _, pair := range v.env {
		key, value, _ := strings.Cut(pair, "=")
		v.t.Setenv(key, value)
	}
	return p
}

// keepRecords keeps all job records and all events.
func (v *vault) keepRecords(b *bus.Bus) {
	v.t.Helper()
	entries, err := b.Records().List(v.t.Context(), bus.Filter{})
	if err != nil {
		v.t.Fatal(err)
	}
	states := map[messages.State]int{}
	for _, entry := range entries {
		text, err := json.Marshal(entry)
		if err != nil {
			v.t.Fatal(err)
		}
		v.said["record of "+entry.Job.ID] = string(text)
		states[entry.State]++
	}
	if states[messages.StateSucceeded] == 0 || len(states) < 2 {
		v.t.Errorf("records of good and bad ends were to be searched: %v", states)
	}
}

// last is what was said by the last command.
func (v *vault) last() string {
	for who, text := range v.said {
		if strings.HasPrefix(who, fmt.Sprintf("%d: ", len(v.said)-1)) {
			return text
		}
	}
	return ""
}

// search looks for the secrets in everything that was said, and in every file but
// those that hold them on purpose.
func (v *vault) search() {
	v.t.Helper()
	for who, text := range v.said {
		for _, what := range v.found(text) {
			v.t.Errorf("the %s is in %s:\n%s", what, who, text)
		}
	}
	files, seen := 0, map[string]bool{}
	err := filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		kept := filepath.Dir(path) == filepath.Join(v.dir, "secrets")
		for _, what := range v.found(string(text)) {
			if seen[what] = true; !kept {
				v.t.Errorf("the %s is in the file %s", what, path)
			}
		}
		files++
		return nil
	})
	if err != nil {
		v.t.Fatal(err)
	}
	if files < 20 {
		v.t.Errorf("only %d files were searched", files)
	}
	for what := range v.planted {
		if !seen[what] && what != "plain wrong signature" && what != "Azure key" && what != "wrong Azure key" {
			v.t.Errorf("the %s was not found where it was planted: the search finds nothing", what)
		}
	}
}

// found returns which secrets a text holds, as they are or as they travel.
func (v *vault) found(text string) []string {
	var all []string
	for what, secret := range v.planted {
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				all = append(all, what)
				break
			}
		}
	}
	return all
}
