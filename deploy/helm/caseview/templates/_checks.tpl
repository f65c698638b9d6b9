{{- /* What a schema cannot say: values that are missing, and values that contradict each other. Each is one sentence. */ -}}

{{- define "caseview.check" -}}
{{- if not .Values.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is required: the brokers, as HOST:PORT, comma-separated" -}}
{{- end -}}
{{- include "caseview.checkDatabase" . -}}
{{- include "caseview.checkKafka" . -}}
{{- include "caseview.checkFiles" . -}}
{{- include "caseview.checkApi" . -}}
{{- include "caseview.checkScaling" . -}}
{{- include "caseview.checkRebuild" . -}}
{{- include "caseview.checkPolicy" . -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- fail "monitoring: serviceMonitor and podMonitor would scrape each pod twice, enable one of them" -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkDatabase" -}}
{{- $database := .Values.database -}}
{{- $parts := false -}}
{{- range $name := list "owner" "worker" "reader" -}}
{{- $role := index $database $name -}}
{{- if not $role.existingSecret -}}
{{- fail (printf "database.%s.existingSecret is required: a Secret with a connection string, or with user and password" $name) -}}
{{- end -}}
{{- if and $role.key (or $role.usernameKey $role.passwordKey) -}}
{{- fail (printf "database.%s: key is a whole connection string, which usernameKey and passwordKey contradict (set key to \"\")" $name) -}}
{{- end -}}
{{- if not $role.key -}}
{{- $parts = true -}}
{{- if not $role.usernameKey -}}
{{- fail (printf "database.%s: give key, or usernameKey with passwordKey or certificateSecret" $name) -}}
{{- end -}}
{{- if not (or $role.passwordKey $role.certificateSecret) -}}
{{- fail (printf "database.%s: usernameKey needs passwordKey or certificateSecret" $name) -}}
{{- end -}}
{{- if not (or $database.host (dig "host" "" $role)) -}}
{{- fail (printf "database.host is required, because database.%s.key is empty" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $database.host (not $parts) -}}
{{- fail "database.host would not be used: each role has a connection string of its own (key)" -}}
{{- end -}}
{{- if and $database.reader.host $database.reader.key -}}
{{- fail "database.reader.host would not be used: database.reader.key is a whole connection string" -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkKafka" -}}
{{- $kafka := .Values.kafka -}}
{{- if and $kafka.sasl.mechanism (not $kafka.sasl.existingSecret) -}}
{{- fail "kafka.sasl.existingSecret is required with kafka.sasl.mechanism: a Secret with user and password" -}}
{{- end -}}
{{- if and $kafka.sasl.existingSecret (not $kafka.sasl.mechanism) -}}
{{- fail "kafka.sasl.mechanism is required with kafka.sasl.existingSecret: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512" -}}
{{- end -}}
{{- if not $kafka.tls.enabled -}}
{{- if or $kafka.tls.ca.secret $kafka.tls.ca.configMap $kafka.tls.certificateSecret -}}
{{- fail "kafka.tls.enabled is false, but kafka.tls names certificates: they would not be used" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.schemaRegistry.url .Values.schemaRegistry.existingSecret -}}
{{- fail "schemaRegistry: give url or existingSecret, not both" -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkFiles" -}}
{{- $files := dict "database.ca" .Values.database.ca "kafka.tls.ca" .Values.kafka.tls.ca "ca" .Values.ca "api.jwks" .Values.api.jwks -}}
{{- range $name, $file := $files -}}
{{- if and $file.secret $file.configMap -}}
{{- fail (printf "%s: give secret or configMap, not both" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkApi" -}}
{{- $api := .Values.api -}}
{{- if $api.enabled -}}
{{- range $name := list "issuers" "audiences" -}}
{{- if not (index $api $name) -}}
{{- fail (printf "api.%s is required: what the tokens of your users have there" $name) -}}
{{- end -}}
{{- end -}}
{{- $sets := list $api.jwks.url $api.jwks.configMap $api.jwks.secret | compact | len -}}
{{- if ne $sets 1 -}}
{{- fail "api.jwks: exactly one of url, configMap and secret is required" -}}
{{- end -}}
{{- include "caseview.checkService" $api.service -}}
{{- $needed := add (int64 $api.drainDelaySeconds) 12 | int64 -}}
{{- if lt (int64 $api.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "api.terminationGracePeriodSeconds must be at least %d: drainDelaySeconds and the time for requests in flight" $needed) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What Kubernetes refuses for the Service's type. Takes api.service. */ -}}
{{- define "caseview.checkService" -}}
{{- if eq .type "ClusterIP" -}}
{{- range $name := list "nodePort" "externalTrafficPolicy" -}}
{{- if index $ $name -}}
{{- fail (printf "api.service.%s needs api.service.type NodePort or LoadBalancer" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if ne .type "LoadBalancer" -}}
{{- range $name := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if index $ $name -}}
{{- fail (printf "api.service.%s needs api.service.type LoadBalancer" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkScaling" -}}
{{- $workers := dict "worker" .Values.worker -}}
{{- if .Values.rebuild.generation -}}
{{- $_ := set $workers "rebuild.worker" (include "caseview.rebuildWorker" . | fromYaml) -}}
{{- end -}}
{{- range $name, $worker := $workers -}}
{{- if lt (int64 $worker.terminationGracePeriodSeconds) 32 -}}
{{- fail (printf "%s.terminationGracePeriodSeconds must be at least 32: a worker takes up to 20 s for its batch and 10 s to leave the group" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $scale := dict "worker" .Values.worker.autoscaling "api" .Values.api.autoscaling -}}
{{- $least := int64 $scale.minReplicas -}}
{{- $most := int64 $scale.maxReplicas -}}
{{- if and $scale.enabled (gt $least $most) -}}
{{- fail (printf "%s.autoscaling: minReplicas (%d) is greater than maxReplicas (%d)" $name $least $most) -}}
{{- end -}}
{{- end -}}
{{- $scale := .Values.worker.autoscaling -}}
{{- if $scale.enabled -}}
{{- if and .Values.worker.staticMembership (not .Values.worker.leaveGroup) -}}
{{- fail "worker.leaveGroup is required with staticMembership and autoscaling: partitions of removed workers would wait" -}}
{{- end -}}
{{- if and (eq $scale.trigger "prometheus") (not $scale.prometheus.serverAddress) -}}
{{- fail "worker.autoscaling.prometheus.serverAddress is required with trigger: prometheus" -}}
{{- end -}}
{{- $protocol := get .Values.kafka.properties "security.protocol" -}}
{{- if and (eq $scale.trigger "kafka") $protocol (ne (lower $protocol) "plaintext") (not $scale.kafka.authenticationRef) -}}
{{- fail "worker.autoscaling.kafka.authenticationRef is required: KEDA cannot read security.protocol of kafka.properties" -}}
{{- end -}}
{{- end -}}
{{- $scale = .Values.api.autoscaling -}}
{{- if and .Values.api.enabled $scale.enabled -}}
{{- $byProcessor := not (kindIs "invalid" $scale.targetCPUUtilizationPercentage) -}}
{{- if not (or $byProcessor $scale.metrics) -}}
{{- fail "api.autoscaling: give targetCPUUtilizationPercentage, or metrics, or both" -}}
{{- end -}}
{{- if and $byProcessor (not (dig "requests" "cpu" "" .Values.api.resources)) -}}
{{- fail "api.autoscaling.targetCPUUtilizationPercentage is a share of api.resources.requests.cpu, which is missing" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkRebuild" -}}
{{- $rebuild := .Values.rebuild -}}
{{- $number := $rebuild.jobGeneration -}}
{{- if and (not $rebuild.generation) (not $rebuild.job) (or $rebuild.image.repository $rebuild.image.tag $rebuild.image.digest) -}}
{{- fail "rebuild.image would not be used without rebuild.generation or rebuild.job" -}}
{{- end -}}
{{- if $rebuild.job -}}
{{- if and (eq $rebuild.job "drop") (not $number) -}}
{{- fail "rebuild.jobGeneration is required with rebuild.job: drop: the generation to drop" -}}
{{- end -}}
{{- if and (eq $rebuild.job "switch") (not $number) (not $rebuild.generation) -}}
{{- fail "rebuild.jobGeneration is required with rebuild.job: switch: the generation that readers are to see" -}}
{{- end -}}
{{- if and $number (not (has $rebuild.job (list "switch" "drop"))) -}}
{{- fail (printf "rebuild.jobGeneration would not be used: rebuild %s takes no number" $rebuild.job) -}}
{{- end -}}
{{- if and (eq $rebuild.job "drop") (has (int64 $number) (list (int64 .Values.worker.generation) (int64 $rebuild.generation))) -}}
{{- fail (printf "generation %d cannot be dropped: worker.generation or rebuild.generation still runs workers for it" (int64 $number)) -}}
{{- end -}}
{{- else if or $number $rebuild.jobArguments -}}
{{- fail "rebuild.jobGeneration and rebuild.jobArguments would not be used without rebuild.job" -}}
{{- end -}}
{{- end -}}

{{- define "caseview.checkPolicy" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- if and .Values.schemaRegistry.existingSecret (not .Values.networkPolicy.schemaRegistry.ports) -}}
{{- fail "networkPolicy.schemaRegistry.ports is required, because the registry's URL is in a Secret" -}}
{{- end -}}
{{- end -}}
{{- end -}}
