package deploy

import (
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"roomlog/server/app"
)

// compose is what these tests read of compose.yaml.
type compose struct {
	Services map[string]service
	Networks map[string]struct {
		Internal bool
		Ipam     struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

type service struct {
	Image           string
	Build           map[string]string
	User            string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	Environment     map[string]string
	Ports           []string
	Volumes         []string
	Secrets         []string
	Networks        []string
	Healthcheck     struct{ Test []string }
	StopGracePeriod string `yaml:"stop_grace_period"`
}

func read(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(file(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// nodes are the services that are built here: their names without "node-".
func (c compose) nodes() map[string]service {
	found := map[string]service{}
	for name, s := range c.Services {
		if s.Build != nil {
			found[strings.TrimPrefix(name, "node-")] = s
		}
	}
	return found
}

func TestComposeHasWhatAClusterNeeds(t *testing.T) {
	c := read(t)
	if len(c.nodes()) != 3 || len(c.Services) != 6 {
		t.Errorf("%d nodes among %d services", len(c.nodes()), len(c.Services))
	}
	for name, s := range c.Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q has no version", name, s.Image)
		}
		if s.Build == nil && len(s.Healthcheck.Test) < 2 {
			t.Errorf("%s has no healthcheck", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: %s is open to other machines", name, port)
			}
		}
		for _, v := range s.Volumes {
			from, _, mounted := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; mounted && !named && !strings.HasPrefix(from, "./") {
				t.Errorf("%s: there is no volume %s", name, from)
			}
		}
		if name == "postgres" { // its image begins as root, to make its folder
			continue
		}
		if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" || user == "root" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs", name)
		}
	}
	for _, name := range []string{"postgres", "redis"} {
		if got := c.Services[name].Networks; len(got) != 1 || !c.Networks[got[0]].Internal {
			t.Errorf("%s is on %v, where not only nodes are", name, got)
		}
	}
}

// pinned is an image with a version of at least two numbers.
var pinned = regexp.MustCompile(`^[a-z./]+:\d+(\.\d+)*(-[a-z]+)*$`)

func TestComposeKeepsSecretsInFiles(t *testing.T) {
	c, script := read(t), file(t, "secrets.sh")
	for name, s := range c.Secrets {
		if s.File != "secrets/"+name || !strings.Contains(script, "secrets/"+name) && !strings.Contains(script, "make "+name) {
			t.Errorf("the secret %s is of %s, which secrets.sh does not make", name, s.File)
		}
	}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for key, value := range s.Environment {
			if at, found := strings.CutPrefix(value, "/run/secrets/"); found && !slices.Contains(s.Secrets, at) {
				t.Errorf("%s: %s is of a secret that it is not given", name, key)
			}
			if strings.HasSuffix(key, "PASSWORD") || key == "ROOMLOG_KEY" || key == "ROOMLOG_CLUSTER_KEY" {
				t.Errorf("%s has %s in its environment", name, key)
			}
		}
	}
}

// The variables of a node are those of the server, and those that all have to have in common are the same.
func TestComposeConfiguresNodes(t *testing.T) {
	known := map[string]bool{}
	config := reflect.TypeFor[app.Config]()
	for i := range config.NumField() {
		known[config.Field(i).Tag.Get("env")] = true
	}
	c := read(t)
	front := netip.MustParsePrefix(c.Networks["front"].Ipam.Config[0].Subnet)
	for name, s := range c.nodes() {
		for key := range s.Environment {
			if !known[key] {
				t.Errorf("node %s: the server does not read %s", name, key)
			}
		}
		if s.Environment["ROOMLOG_NODE"] != name {
			t.Errorf("node %s is called %q", name, s.Environment["ROOMLOG_NODE"])
		}
		if trusted := netip.MustParsePrefix(s.Environment["ROOMLOG_TRUSTED_PROXIES"]); trusted != front {
			t.Errorf("node %s believes %v, and the balancer is in %v", name, trusted, front)
		}
		grace, err := time.ParseDuration(s.StopGracePeriod)
		wait, wrong := time.ParseDuration(s.Environment["ROOMLOG_DRAIN_WAIT"])
		if stop := 10 * time.Second; err != nil || wrong != nil || grace <= wait+stop {
			t.Errorf("node %s has %s to stop in, and takes %s and %s", name, s.StopGracePeriod, s.Environment["ROOMLOG_DRAIN_WAIT"], stop)
		}
	}
}

// The balancer asks exactly the nodes of compose.yaml, and all of them when none is ready; its file for Docker is
// otherwise the one that `make cluster` writes.
func TestHAProxyKnowsTheNodes(t *testing.T) {
	var nodes []Node
	for name := range read(t).nodes() {
		nodes = append(nodes, Node{Name: name, Address: "node-" + name + ":8080"})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	want := strings.Fields(string(Places(":8080", nodes)))
	_, text, found := strings.Cut(file(t, "haproxy.docker.cfg"), "frontend ")
	if !found {
		t.Fatal("there is no frontend")
	}
	var got []string
	for line := range strings.Lines("frontend " + text) {
		line, _, _ = strings.Cut(line, " resolvers ") // names are resolved there alone
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			got = append(got, strings.Fields(line)...)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("haproxy.docker.cfg says\n%v\nnot\n%v", got, want)
	}
}

func TestTheImageHasNothingElse(t *testing.T) {
	stages := strings.Split(file(t, "Dockerfile"), "\nFROM ")
	for _, stage := range stages[1 : len(stages)-1] {
		if image := strings.Fields(stage)[0]; !pinned.MatchString(image) {
			t.Errorf("the image %q has no version", image)
		}
	}
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") {
		t.Error("the image is not from scratch")
	}
	for _, line := range []string{"USER 65532:65532", `CMD ["/roomlog", "health"]`, `ENTRYPOINT ["/roomlog"]`, `CMD ["serve"]`} {
		if !strings.Contains(last, line+"\n") {
			t.Errorf("the image lacks %s", line)
		}
	}
	if strings.Contains(last, "RUN ") {
		t.Error("the last stage runs something, and has no shell")
	}
}
