# Workers on each client of Nomad, each night for as long as there are tasks: a sysbatch job runs once on every client.
# The caller is started elsewhere, a minute later: driftlock fleet check --queue … (cron, a CI job, driftlock serve).
# Adapt: datacenters, the schedule, QUEUE, the paths of the project. On each client the project lies in /opt/erp with a key of
# its own (driftlock fleet enrol), the host's own file in /etc/driftlock/host.toml.
job "driftlock-workers" {
  datacenters = ["*"]
  type        = "sysbatch"

  periodic {
    crons            = ["0 2 * * *"]
    time_zone        = "UTC"
    prohibit_overlap = true
  }

  group "worker" {
    # A worker that ends with an error is started once more; its tasks go to others when their lease is over.
    restart {
      attempts = 1
      interval = "10m"
      delay    = "15s"
      mode     = "fail"
    }

    task "driftlock" {
      driver = "exec"
      user   = "driftlock"

      config {
        command = "/usr/local/bin/driftlock"
        args = [
          "--root", "/opt/erp",
          "fleet", "worker",
          "--queue", "${QUEUE}",
          "--password-file", "${NOMAD_SECRETS_DIR}/queue",
          "--jobs", "16",
          "--idle", "10m",
        ]
      }

      env {
        QUEUE = "rediss://worker@queue.example.com"
      }

      template {
        data        = "{{ with nomadVar \"nomad/jobs/driftlock-workers\" }}{{ .password }}{{ end }}"
        destination = "${NOMAD_SECRETS_DIR}/queue"
        perms       = "0600"
        change_mode = "noop"
      }

      resources {
        cpu    = 500
        memory = 256
      }

      # SIGTERM gives tasks back at once.
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"
    }
  }
}
