package upload

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/loadtest/process"
)

// bucket is where everything goes, and region where it is said to be.
const (
	bucket = "backups"
	region = "us-east-1"
)

// The credentials of servers that live for one measurement. Azurite's are the ones that
// its documentation gives to everybody.
const (
	accessKey     = "loadtest"
	secretKey     = "loadtest-secret"
	azureAccount  = "devstoreaccount1"
	azureKey      = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	azurePolicies = "rwdlac"
)

// store is a kind of object store: the server that speaks its protocol, and how programs
// are told to use it.
type store struct {
	name    string
	program string // the server's
	path    string // of the program, once it was found
	folder  string // what its directory has in it at the beginning
	args    func(*server) []string
	env     []string
	// logsToOutput says that the requests are in what the server prints.
	logsToOutput bool
	// setUp makes the bucket, where a folder is not enough.
	setUp func(context.Context, *server) error

	// url and ours are the location of a repository, and the environment that opens it.
	url  func(*server) string
	ours []string
	// remote is the environment in which rclone knows the server as "there:".
	remote func(*server) []string
}

var stores = []store{
	{
		name: "s3", program: "versitygw", folder: bucket,
		args: func(s *server) []string {
			return []string{"--port", s.address, "--region", region, "--quiet", "--keep-alive", "--access-log", s.log, "posix", s.data}
		},
		env: []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
		url: func(s *server) string { return location("s3", "endpoint", s.endpoint(), "region", region) },
		// A file of authorities that an environment names for AWS is of no use here, and
		// the SDK inside rclone fails on it.
		ours: []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_CA_BUNDLE="},
		remote: func(s *server) []string {
			return []string{
				"RCLONE_CONFIG_THERE_TYPE=s3", "RCLONE_CONFIG_THERE_PROVIDER=Other", "RCLONE_CONFIG_THERE_ENDPOINT=" + s.endpoint(),
				"RCLONE_CONFIG_THERE_REGION=" + region, "RCLONE_CONFIG_THERE_ACCESS_KEY_ID=" + accessKey,
				"RCLONE_CONFIG_THERE_SECRET_ACCESS_KEY=" + secretKey, "AWS_CA_BUNDLE=",
			}
		},
	},
	{
		name: "azure", program: "azurite-blob", logsToOutput: true, setUp: makeContainer,
		args: func(s *server) []string {
			host, port, _ := strings.Cut(s.address, ":")
			return []string{"-l", s.data, "--blobHost", host, "--blobPort", port, "--disableTelemetry", "--skipApiVersionCheck"}
		},
		url: func(s *server) string {
			return location("azblob", "endpoint", s.endpoint()+"/"+azureAccount, "account", azureAccount)
		},
		ours: []string{"AZURE_STORAGE_KEY=" + azureKey},
		remote: func(s *server) []string {
			return []string{"RCLONE_CONFIG_THERE_TYPE=azureblob", "RCLONE_CONFIG_THERE_SAS_URL=" + s.endpoint() + "/" + azureAccount + "?" + signature()}
		},
	},
	{
		name: "gcs", program: "fake-gcs-server", logsToOutput: true, folder: bucket,
		args: func(s *server) []string {
			host, port, _ := strings.Cut(s.address, ":")
			return []string{"-scheme", "http", "-host", host, "-port", port, "-backend", "filesystem", "-filesystem-root", s.data, "-log-level", "info"}
		},
		url: func(s *server) string { return location("gs", "endpoint", s.endpoint()) },
		remote: func(s *server) []string {
			return []string{
				"RCLONE_CONFIG_THERE_TYPE=google cloud storage", "RCLONE_CONFIG_THERE_ANONYMOUS=true",
				"RCLONE_CONFIG_THERE_ENDPOINT=" + s.endpoint() + "/storage/v1/", "RCLONE_CONFIG_THERE_PROJECT_NUMBER=1",
			}
		},
	},
}

// Stores lists the kinds of object stores that can be measured.
func Stores() []string {
	names := make([]string, len(stores))
	for i, s := range stores {
		names[i] = s.name
	}
	return names
}

func choose(names []string) ([]store, error) {
	var chosen []store
	for _, name := range names {
		i := slices.IndexFunc(stores, func(s store) bool { return s.name == name })
		if i < 0 {
			return nil, fault.New("measure uploads", fmt.Sprintf("%.40q", name), errors.New("no kind of store that is known"), "known are "+strings.Join(Stores(), ", "))
		}
		chosen = append(chosen, stores[i])
	}
	if len(chosen) == 0 {
		return nil, fault.New("measure uploads", "nothing", errors.New("no kind of store is named"), "known are "+strings.Join(Stores(), ", "))
	}
	return chosen, nil
}

// location is the URL of a repository in the bucket.
func location(scheme string, parameters ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	return (&url.URL{Scheme: scheme, Host: bucket, Path: "/repository", RawQuery: q.Encode()}).String()
}

// signature is a shared access signature for the account: rclone takes the address of a
// server other than Azure's own only with one.
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas
func signature() string {
	const version, expires = "2019-12-12", "2099-01-01T00:00:00Z"
	fields := []string{azureAccount, azurePolicies, "b", "sco", "", expires, "", "https,http", version, ""}
	key, err := base64.StdEncoding.DecodeString(azureKey)
	if err != nil {
		panic(err) // of a constant
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.Join(fields, "\n")))
	return url.Values{
		"sv": {version}, "ss": {"b"}, "srt": {"sco"}, "sp": {azurePolicies}, "se": {expires}, "spr": {"https,http"},
		"sig": {base64.StdEncoding.EncodeToString(h.Sum(nil))},
	}.Encode()
}

// makeContainer makes the container of that kind of store.
func makeContainer(ctx context.Context, s *server) error {
	at := s.endpoint() + "/" + azureAccount + "/" + bucket + "?restype=container&" + signature()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at, http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("make the container %s: %s", bucket, answer.Status)
	}
	return nil
}

// program uploads the tree in its own way.
type program struct {
	name string
	// files to write first: name in the directory, and content.
	files map[string]string
	// commands returns the upload, and what goes before it and is not measured.
	commands func(srv *server, dir string) (upload process.Command, prepare []process.Command)
}

// programs returns those that are measured with a kind of store.
func (b *bench) programs(s store) []program {
	all := []program{{
		name: "mahavishnu backup", files: map[string]string{"mahavishnu.yaml": "{}\n"},
		commands: func(srv *server, dir string) (process.Command, []process.Command) {
			run := func(args ...string) process.Command {
				return process.Command{
					Args: append(append([]string{b.o.Program}, args...), "--quiet", "--config", filepath.Join(dir, "mahavishnu.yaml"),
						"--key", filepath.Join(dir, "key"), "--repository", s.url(srv), "--cache-dir", filepath.Join(dir, "cache")),
					Env: s.ours,
				}
			}
			return run("backup", b.tree, "--direct"), []process.Command{run("key", "create")}
		},
	}}
	if b.o.Rclone != "" {
		all = append(all, program{
			name: "rclone copy",
			commands: func(srv *server, _ string) (process.Command, []process.Command) {
				return process.Command{
					Args: []string{b.o.Rclone, "copy", b.tree, "there:" + bucket + "/tree"},
					Env:  append([]string{"RCLONE_CONFIG="}, s.remote(srv)...), // no file of the user's
				}, nil
			},
		})
	}
	return all
}
