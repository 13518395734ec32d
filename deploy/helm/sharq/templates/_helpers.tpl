{{- define "sharq.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Call with an image: repository, tag, and perhaps the digest, which decides if there is one. */}}
{{- define "sharq.imageOf" -}}
{{- printf "%s:%s" .repository .tag -}}
{{- with .digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "sharq.image" -}}
{{- include "sharq.imageOf" (merge (dict "tag" (.Values.image.tag | default .Chart.AppVersion)) .Values.image) -}}
{{- end -}}

{{/* The secret that routers and shards share: one that is there, or the chart's. */}}
{{- define "sharq.linkSecret" -}}
{{- .Values.link.existingSecret | default (printf "%s-link" (include "sharq.name" .)) -}}
{{- end -}}

{{/* "true" if the values say that callers need no token. The configuration has four words for it. */}}
{{- define "sharq.isAnonymous" -}}
{{- has (lower (toString .Values.config.auth.allow_anonymous)) (list "true" "yes" "on" "1") -}}
{{- end -}}

{{/* "true" if the chart makes the file of tokens: of its first token, of lines in the values, or of both. */}}
{{- define "sharq.makesTokens" -}}
{{- $tokens := .Values.api.tokens -}}
{{- and (not $tokens.existingSecret) (or (not (empty $tokens.lines)) (ne (include "sharq.firstToken" .) "")) -}}
{{- end -}}

{{/* The secret with the first token itself; nothing if the chart makes none. */}}
{{- define "sharq.firstToken" -}}
{{- $tokens := .Values.api.tokens -}}
{{- if and $tokens.create (not $tokens.existingSecret) (ne (include "sharq.isAnonymous" .) "true") -}}
{{- include "sharq.name" . }}-token
{{- end -}}
{{- end -}}

{{/* Where a caller's token is, as name and key: in the secret that its values name, or else the first token; nothing
     without either. Call with (dict "root" $ "token" .Values.test.token). */}}
{{- define "sharq.tokenFor" -}}
{{- if .token.existingSecret -}}
{name: {{ .token.existingSecret }}, key: {{ .token.key }}}
{{- else -}}
{{- with include "sharq.firstToken" .root -}}
{name: {{ . }}, key: token}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The secret with the file of tokens; nothing if everyone may call. */}}
{{- define "sharq.tokensSecret" -}}
{{- if eq (include "sharq.makesTokens" .) "true" -}}
{{- include "sharq.name" . }}-tokens
{{- else -}}
{{- .Values.api.tokens.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "sharq.trialStore" -}}
{{- include "sharq.name" . }}-trial-store
{{- end -}}

{{/* The secret with the store's password; nothing if it asks for none. */}}
{{- define "sharq.storeSecret" -}}
{{- ternary (include "sharq.trialStore" .) .Values.store.existingSecret .Values.trialStore.enabled -}}
{{- end -}}

{{/* Call with (dict "root" $ "component" "router"). */}}
{{- define "sharq.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "sharq.labels" -}}
{{ include "sharq.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "sharq.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sharq.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the pods of a component have alike, up to their containers. Call with (dict "root" $ "component" "router" "own" .Values.routers). */}}
{{- define "sharq.podHead" -}}
serviceAccountName: {{ include "sharq.name" .root }}
automountServiceAccountToken: false
# The variables that Kubernetes makes for services begin as the settings do.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .own.terminationGracePeriodSeconds }}
securityContext:
  {{- include "sharq.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sharq.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* http or https: what the port of a component speaks. Call with (dict "root" $ "component" "router"). */}}
{{- define "sharq.scheme" -}}
{{- $tls := ternary .root.Values.api.tls .root.Values.link.tls (eq .component "router") -}}
{{- ternary "https" "http" (ne $tls.existingSecret "") -}}
{{- end -}}

{{/* By which name clients reach the routers. */}}
{{- define "sharq.host" -}}
{{- .Values.api.tls.serverName | default (printf "%s.%s.svc" (include "sharq.name" .) .Release.Namespace) -}}
{{- end -}}

{{- define "sharq.url" -}}
{{- printf "%s://%s:%v" (include "sharq.scheme" (dict "root" . "component" "router")) (include "sharq.host" .) .Values.service.port -}}
{{- end -}}

{{/* The link's secret and files, which both ends have: variables, mounts, volumes. */}}
{{- define "sharq.linkEnv" -}}
- {name: SHARQ_CLUSTER_SECRET_FILE, value: /run/secrets/link/{{ .Values.link.key }}}
{{- if .Values.link.tls.existingSecret }}
- {name: SHARQ_CLUSTER_LINK_TLS_CERT, value: /run/secrets/link-tls/tls.crt}
- {name: SHARQ_CLUSTER_LINK_TLS_KEY, value: /run/secrets/link-tls/tls.key}
- {name: SHARQ_CLUSTER_LINK_TLS_CA, value: /run/secrets/link-tls/ca.crt}
{{- end }}
{{- end -}}

{{/* The labels of a pod: those that select it, and the values'. Call with (dict "root" $ "component" "router" "own" .Values.routers). */}}
{{- define "sharq.podLabels" -}}
{{- include "sharq.selector" . }}
{{- with .own.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Volumes of secrets, and where they are mounted: whole, for a single file would never be renewed. */}}
{{- define "sharq.secretMounts" -}}
{{- range $name, $secret := . }}
{{- if $secret }}
- {name: {{ $name }}, mountPath: /run/secrets/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sharq.secretVolumes" -}}
{{- range $name, $secret := . }}
{{- if $secret }}
- name: {{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}

{{/* Liveness asks the process alone; readiness says no while it drains. preStop: first out of the service, then SIGTERM. */}}
{{- define "sharq.life" -}}
{{- $scheme := include "sharq.scheme" . | upper -}}
startupProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    exec:
      command: [sleep, {{ .own.preStopSeconds | quote }}]
resources:
  {{- toYaml .own.resources | nindent 2 }}
securityContext:
  {{- include "sharq.containerSecurity" . | nindent 2 }}
{{- end -}}
